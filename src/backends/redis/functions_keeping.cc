// The functions `changes`, `compact`, `fence`, `drop` and `expired`, and those that keep a store honest.
#include "backends/redis/functions.h"

namespace holdfast::redis {

View keeping_functions() {
  return R"lua(-- changes: server, since history, since seq, first, last, limit, what
local function changes(keys, args)
  local head = head_of(keys[1])
  if is_of_another_server(head, args[1]) then return other_server(head) end
  local since, seq = tonumber(args[3]), tonumber(head[2] or '0')
  -- The caller refuses these.
  if args[2] ~= (head[1] or kNoHistory) or since > seq or since < tonumber(head[4] or '0') then
    return {'ok', head, '0', {}}
  end
  local range, limit, keys_only = range_of(args[4], args[5]), tonumber(args[6]), args[7] == 'k'

  local items, count, bytes = {}, 0, 0
  local current, pending, seen, through = nil, {}, {}, nil
  -- Whether the commit that is complete now fits; if not the page ends before it.
  local function finish_commit()
    if not current then return true end
    if (count + #pending / 3 > limit or bytes > kAnswerBytes) and count > 0 then
      through = current - 1
      return false
    end
    for _, item in ipairs(pending) do items[#items + 1] = item end
    count = count + #pending / 3
    pending, seen = {}, {}
    return true
  end
  local function take_row(row_seq, key, raw)
    if row_seq ~= current then
      if not finish_commit() then return false end
      current = row_seq
    end
    if seen[key] then return true end
    seen[key] = true
    local kept = false
    bytes = bytes + #key
    if raw then
      local version, _, value_at = entry_of(raw)
      -- A later commit put the key again: it belongs to that one.
      if tonumber(version) > row_seq then
        bytes = bytes - #key
        return true
      end
      kept = keys_only and sub(raw, 1, value_at - 1) or raw
      if not keys_only then bytes = bytes + #raw - value_at + 1 end
    end
    pending[#pending + 1] = text(row_seq)
    pending[#pending + 1] = key
    pending[#pending + 1] = kept
    return true
  end

  local slice_seqs, slice_keys = {}, {}
  local function take_slice()
    if #slice_keys == 0 then return true end
    local raws = call('HMGET', keys[2], unpack(slice_keys))
    for i, key in ipairs(slice_keys) do
      if not take_row(slice_seqs[i], key, raws[i]) then return false end
    end
    slice_seqs, slice_keys = {}, {}
    return true
  end

  local function walk()
    local from, walked, newest_walked = '(' .. args[3] .. '-18446744073709551615', 0, nil
    while true do
      local found = call('XRANGE', keys[4], from, '+', 'COUNT', 100)
      for _, entry in ipairs(found) do
        local newest = tonumber(match(entry[1], '^%d+'))
        local fields = entry[2]
        for field = 1, #fields, 2 do
          local row_seq = newest - tonumber(fields[field])
          if row_seq > since then
            if walked >= kChangesRows and row_seq ~= newest_walked then
              if take_slice() and finish_commit() then through = row_seq - 1 end
              return
            end
            walked = walked + 1
            newest_walked = row_seq
            if contains(range, fields[field + 1]) then
              slice_seqs[#slice_seqs + 1] = row_seq
              slice_keys[#slice_keys + 1] = fields[field + 1]
              if #slice_keys == 200 and not take_slice() then return end
            end
          end
        end
        from = '(' .. entry[1]
      end
      if #found < 100 then
        if take_slice() and finish_commit() then through = seq end
        return
      end
    end
  end
  walk()
  return {'ok', head, text(through), items}
end

-- adopt: old server, new server, new history, channel
local function adopt(keys, args)
  local head = head_of(keys[1])
  if not exists(head) or (head[6] or '') ~= args[1] then return 0 end
  if head[1] then
    call('HSET', keys[1], 'server', args[2], 'history', args[3])
  else
    call('HSET', keys[1], 'server', args[2])
  end
  call('SPUBLISH', args[4], head[2] or '0')
  return 1
end

-- compact: server, before
local function compact(keys, args)
  local head = head_of(keys[1])
  if is_of_another_server(head, args[1]) then return other_server(head) end
  if not exists(head) then return 0 end
  local floor = tonumber(head[4] or '0')
  local raised = math.max(floor, math.min(tonumber(args[2]), tonumber(head[2] or '0')))
  if raised > floor then call('HSET', keys[1], 'floor', text(raised)) end
  return call('XTRIM', keys[4], 'MINID', '~', text(raised + 1) .. '-0', 'LIMIT', 20000)
end

-- fence: server, name, channel, history, expected fence, next fence, then, if an import ends: history, seq,
-- time
local function fence(keys, args)
  local head = head_of(keys[1])
  if is_of_another_server(head, args[1]) then return other_server(head) end
  if (head[1] or kNoHistory) ~= args[4] or (head[5] or '') ~= args[5] then return 0 end
  if not exists(head) then
    call('ZADD', keys[7], 0, args[2])
    call('HSET', keys[1], 'seq', '0', 'time', '0', 'floor', '0', 'server', args[1])
  end
  if args[7] then
    call('HSET', keys[1], 'history', args[7], 'seq', args[8], 'time', args[9], 'floor', args[8])
  end
  if args[6] == '' then
    call('HDEL', keys[1], 'fence')
  else
    call('HSET', keys[1], 'fence', args[6])
  end
  call('SPUBLISH', args[3], head[2] or '0')
  return 1
end

-- drop: server, name, due name, channel, history
local function drop(keys, args)
  local head = head_of(keys[1])
  if is_of_another_server(head, args[1]) then return other_server(head) end
  if not exists(head) or (head[1] or kNoHistory) ~= args[5] then return 0 end
  call('UNLINK', keys[1], keys[2], keys[3], keys[4], keys[5], keys[6])
  call('ZREM', keys[7], args[2])
  call('ZREM', keys[8], args[3])
  call('SPUBLISH', args[4], '0')
  return 1
end

-- expired: what the keys of the databases begin with, now, limit; the key is the set of due names
local function expired(keys, args)
  local begin, now, limit = args[1], args[2], tonumber(args[3])
  local answer = {false}
  local function note_due(expiry)
    if not answer[1] or before(expiry, answer[1]) then answer[1] = expiry end
  end
  -- The earliest expiry of a database; its bound is set right.
  local function first_of(name, bound)
    local first = call('ZRANGE', begin .. name .. ':expiry', 0, 0, 'WITHSCORES')
    if #first == 0 then
      call('ZREM', keys[1], name)
      return nil
    end
    if first[2] ~= bound then call('ZADD', keys[1], first[2], name) end
    return text(tonumber(first[2]))
  end
  local names = call('ZRANGEBYSCORE', keys[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1000)
  for i = 1, #names, 2 do
    local name = names[i]
    if first_of(name, names[i + 1]) then
      local set = begin .. name .. ':expiry'
      local due = call('ZRANGEBYSCORE', set, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit + 1)
      for at = 1, #due, 2 do
        local expiry = text(tonumber(due[at + 1]))
        if at > 2 * limit or before(now, expiry) then
          note_due(expiry)
        else
          answer[#answer + 1] = name
          answer[#answer + 1] = due[at]
          answer[#answer + 1] = expiry
        end
      end
      local later_due = call('ZRANGEBYSCORE', set, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
      if #later_due > 0 then note_due(text(tonumber(later_due[2]))) end
    end
  end
  if #names == 2000 then note_due(now) end
  for _ = 1, 100 do
    local next_name = call('ZRANGEBYSCORE', keys[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if #next_name == 0 then break end
    local first = first_of(next_name[1], next_name[2])
    if first and not before(text(tonumber(next_name[2])), first) then
      note_due(first)
      break
    end
  end
  return answer
end

-- probe: does what the functions do, on keys that are no database's, so that a missing permission is found
-- before there is anything to break
local function probe(keys, args)
  -- A probe that failed may have left something.
  call('UNLINK', keys[1], keys[2], keys[3])
  call('HSET', keys[1], 'a', '1')
  call('HMGET', keys[1], 'a')
  call('HGET', keys[1], 'a')
  call('HDEL', keys[1], 'a')
  call('ZADD', keys[2], 0, 'a')
  call('ZCARD', keys[2])
  call('ZRANGE', keys[2], 0, 0, 'WITHSCORES')
  call('ZRANGEBYSCORE', keys[2], '-inf', '+inf')
  call('ZRANGEBYLEX', keys[2], '-', '+')
  call('ZREVRANGEBYLEX', keys[2], '+', '-')
  call('ZREM', keys[2], 'a')
  call('XADD', keys[3], '1-0', '0', 'a')
  call('XRANGE', keys[3], '-', '+')
  call('XREVRANGE', keys[3], '+', '-')
  call('XTRIM', keys[3], 'MINID', '2-0')
  call('SPUBLISH', args[1], 'probe')
  call('UNLINK', keys[1], keys[2], keys[3])
  return 1
end
)lua";
}

}  // namespace holdfast::redis
