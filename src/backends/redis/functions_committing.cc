// The function `commit` (§3).
#include "backends/redis/functions.h"

namespace holdfast::redis {

View committing_functions() {
  return R"lua(-- How many arguments an item of a batch has, by its first letter; a digit is a version.
local kItemSize = {[97] = 2, [117] = 5, [112] = 3, [105] = 3, [115] = 4, [101] = 2, [114] = 2}
local kIsCheck = {[97] = true, [117] = true}
for digit = 48, 57 do
  kItemSize[digit] = 2
  kIsCheck[digit] = true
end

local function fetch(entries, wanted, known)
  for from = 1, #wanted, kMostArguments do
    local most = math.min(from + kMostArguments - 1, #wanted)
    local raws = redis.call('HMGET', entries, unpack(wanted, from, most))
    for i, raw in ipairs(raws) do
      -- The values themselves are not looked at.
      if raw and #raw > 4096 then raw = sub(raw, 1, 64) end
      known[wanted[from + i - 1]] = raw
    end
  end
end

local function forget_sessions(keys, time)
  local function forget(ids)
    if #ids == 0 then return end
    local fields = {}
    for i, id in ipairs(ids) do fields[i] = 's:' .. id end
    redis.call('HDEL', keys[1], unpack(fields))
    redis.call('ZREM', keys[6], unpack(ids))
  end
  local now = tonumber(time)
  forget(redis.call('ZRANGEBYSCORE', keys[6], '-inf', '(' .. text(now - kSessionKeptMs), 'LIMIT', 0, 100))
  local surplus = redis.call('ZCARD', keys[6]) - kSessions
  if surplus <= 0 then return end
  forget(redis.call('ZRANGEBYSCORE', keys[6], '-inf', '(' .. text(now - kSessionUntouchableMs), 'LIMIT', 0,
                    math.min(surplus, 100)))
end

-- commit: server, name, due name, channel, session, number, content hash, retry, history, new history, now,
-- clock skew limit, token, shape, repeat, then items of batches, each batch ended by '.'
local kFirstItem = 16
local function commit(keys, args)
  local session_field = 's:' .. args[5]
  local head = redis.call('HMGET', keys[1], 'history', 'seq', 'time', 'floor', 'fence', 'server',
                          session_field)
  if is_of_another_server(head, args[1]) then return other_server(head) end

  local record, used_at = head[7], nil
  if record then
    local number, hash, used, answer = match(record, '^(%d+) (%x+) (%S+) (.*)$')
    used_at = used
    if number == args[6] and hash == args[7] then
      -- Written again, so that a WAIT that follows waits for it.
      if args[15] == '1' then redis.call('HSET', keys[1], session_field, record) end
      return answer
    end
    if not before(number, args[6]) then return {'refused', head} end
  end
  if args[9] ~= kNoHistory and args[9] ~= head[1] then return {'refused', head} end
  local importing = is_importing(head)
  if head[5] then
    local token = match(head[5], '^%a+ (%x+)')
    if token == kNoHistory or token ~= args[13] then return {'refused', head} end
  end
  if sub(args[14], importing and 2 or 1, importing and 2 or 1) ~= '1' then return {'refused', head} end
  local skew_limit = tonumber(args[12])
  if head[3] and skew_limit > 0 and tonumber(head[3]) - tonumber(args[11]) > skew_limit then
    return {'refused', head}
  end
  local time = later(args[11], head[3] or args[11])

  local starts, writes, wanted, was = {kFirstItem}, {}, {}, {}
  local at, in_writes = kFirstItem, false
  local last = #args
  while at <= last do
    local letter = byte(args[at])
    if letter == 46 then
      at = at + 1
      starts[#starts + 1] = at
      in_writes = false
    else
      if not in_writes and not kIsCheck[letter] then
        writes[#starts] = at
        in_writes = true
      end
      if letter ~= 117 and letter ~= 115 then
        local key = args[at + 1]
        if was[key] == nil then
          was[key] = false
          wanted[#wanted + 1] = key
        end
      end
      at = at + kItemSize[letter]
    end
  end
  local batches = #starts - 1
  fetch(keys[2], wanted, was)

  local seq = tonumber(head[2] or '0')
  local log = new_log(keys[4])
  local outcomes, seqs, applied, stamped = {}, {}, 0, {}
  for batch = 1, batches do
    local failed
    at = starts[batch]
    local check = 0
    while at < writes[batch] do
      local what = args[at]
      if what == 'u' then
        if not is_unchanged(keys, head, log, time, args[at + 1], args[at + 2], args[at + 3], args[at + 4]) then
          failed = check
          break
        end
      elseif not holds(what, was[args[at + 1]], time) then
        failed = check
        break
      end
      check = check + 1
      at = at + kItemSize[byte(what)]
    end
    if failed then
      outcomes[#outcomes + 1] = text(failed)
    else
      applied = applied + 1
      if not importing then seq = seq + 1 end
      seqs[batch] = seq
      local count = outcomes[#outcomes]
      if type(count) == 'number' then
        outcomes[#outcomes] = count + 1
      else
        outcomes[#outcomes + 1] = 1
      end
      at = writes[batch]
      while at < starts[batch + 1] - 1 do
        local letter = byte(args[at])
        if letter == 115 then
          local key = args[at + 1] .. format('%016x', seq) .. args[at + 2]
          if was[key] == nil then
            was[key] = false
            stamped[#stamped + 1] = key
          end
        end
        at = at + kItemSize[letter]
      end
    end
  end
  for i, outcome in ipairs(outcomes) do
    if type(outcome) == 'number' then outcomes[i] = '+' .. text(outcome) end
  end
  local retry = args[8] == '1'
  local history = head[1] or (importing and kNoHistory) or args[10]
  if applied == 0 and not retry then
    return (head[1] or kNoHistory) .. ' ' .. text(seq) .. ' ' .. table.concat(outcomes, ',')
  end
  fetch(keys[2], stamped, was)

  -- What is there after the batches so far, of keys that they touched: an entry, or false.
  local staged, touched = {}, {}
  local row_seqs, row_keys = {}, {}
  local lowest_expiry
  local function stage(key, raw)
    if staged[key] == nil then touched[#touched + 1] = key end
    staged[key] = raw
  end
  for batch = 1, batches do
    local commit_seq = seqs[batch]
    if commit_seq then
      local version = text(commit_seq) .. ' '
      at = writes[batch]
      while at < starts[batch + 1] - 1 do
        local what = args[at]
        local letter = byte(what)
        local key = args[at + 1]
        local changed = true
        if letter == 112 then
          stage(key, version .. sub(what, 2) .. args[at + 2])
        elseif letter == 105 then
          stage(key, sub(what, 2) .. args[at + 2])
        elseif letter == 115 then
          key = key .. format('%016x', commit_seq) .. args[at + 2]
          stage(key, version .. sub(what, 2) .. args[at + 3])
        else
          local raw = staged[key]
          if raw == nil then raw = was[key] end
          changed = raw and true or false
          if raw and letter == 114 then
            local _, expiry = entry_of(raw)
            changed = not is_live(expiry, time)
          end
          if changed then stage(key, false) end
        end
        if changed and not importing then
          row_seqs[#row_seqs + 1] = commit_seq
          row_keys[#row_keys + 1] = key
        end
        at = at + kItemSize[letter]
      end
    end
  end

  local puts, new_keys, gone, expiries, unexpiring = {}, {}, {}, {}, {}
  for _, key in ipairs(touched) do
    local raw, old = staged[key], was[key]
    local had_expiry = false
    if old then
      local _, expires = expiry_of(old)
      had_expiry = expires
    end
    if raw then
      puts[#puts + 1] = key
      puts[#puts + 1] = raw
      if not old then
        new_keys[#new_keys + 1] = 0
        new_keys[#new_keys + 1] = key
      end
      local from, expires = expiry_of(raw)
      if expires then
        local expiry = match(raw, '^%S+', from)
        expiries[#expiries + 1] = expiry
        expiries[#expiries + 1] = key
        if not lowest_expiry or before(expiry, lowest_expiry) then lowest_expiry = expiry end
      elseif had_expiry then
        unexpiring[#unexpiring + 1] = key
      end
    elseif old then
      gone[#gone + 1] = key
      if had_expiry then unexpiring[#unexpiring + 1] = key end
    end
  end

  -- A foreign key in the place of one of ours is found before the first write.
  redis.call('ZCARD', keys[6])
  if #new_keys + #gone > 0 then redis.call('ZCARD', keys[3]) end
  if #row_keys > 0 then redis.call('XLEN', keys[4]) end
  if #expiries + #unexpiring > 0 then redis.call('ZCARD', keys[5]) end
  if lowest_expiry then redis.call('ZCARD', keys[8]) end
  if not exists(head) then redis.call('ZCARD', keys[7]) end

  call_in_slices('HSET', keys[2], puts, kMostArguments)
  call_in_slices('HDEL', keys[2], gone, kMostArguments)
  call_in_slices('ZADD', keys[3], new_keys, kMostArguments)
  call_in_slices('ZREM', keys[3], gone, kMostArguments)
  call_in_slices('ZADD', keys[5], expiries, kMostArguments)
  call_in_slices('ZREM', keys[5], unexpiring, kMostArguments)
  if lowest_expiry then redis.call('ZADD', keys[8], 'LT', lowest_expiry, args[3]) end
  local part = 0
  for from = 1, #row_keys, kMostArguments / 2 do
    local most = math.min(from + kMostArguments / 2 - 1, #row_keys)
    local newest = row_seqs[most]
    local fields = {}
    for row = from, most do
      fields[#fields + 1] = newest - row_seqs[row]
      fields[#fields + 1] = row_keys[row]
    end
    redis.call('XADD', keys[4], text(newest) .. '-' .. text(part), unpack(fields))
    part = part + 1
  end
  if not exists(head) then redis.call('ZADD', keys[7], 0, args[2]) end
  local answer = history .. ' ' .. text(seq) .. ' ' .. table.concat(outcomes, ',')
  local new_record = args[6] .. ' ' .. args[7] .. ' ' .. time .. ' ' .. answer
  if exists(head) then
    redis.call('HSET', keys[1], 'seq', text(seq), 'time', time, session_field, new_record)
  else
    redis.call('HSET', keys[1], 'history', history, 'seq', text(seq), 'time', time, 'floor', '0', 'server',
               args[1], session_field, new_record)
  end
  -- A session that was used in the same minute has a place that is good enough for forgetting it.
  local minute = math.floor(tonumber(time) / 60000)
  if not used_at or math.floor(tonumber(used_at) / 60000) ~= minute then
    redis.call('ZADD', keys[6], time, args[5])
  end
  if not record then forget_sessions(keys, time) end
  redis.call('SPUBLISH', args[4], text(seq))
  return answer
end
)lua";
}

}  // namespace holdfast::redis
