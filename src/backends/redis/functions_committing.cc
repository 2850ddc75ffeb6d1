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

local kFirstItem = 17

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

-- Redis writes a number out with a slow format.
local kOffsets = {}
local function offset_text(offset)
  local known = kOffsets[offset]
  if not known then
    known = text(offset)
    if offset < 1024 then kOffsets[offset] = known end
  end
  return known
end

-- What a group does: its outcomes as the answer says them, what is written, and the rows of the log.
local function new_plan(seq)
  return {seq = seq, applied = 0, outcomes = {}, puts = {}, new_keys = {}, gone = {}, expiries = {},
          unexpiring = {}, row_seqs = {}, row_keys = {}, lowest_expiry = nil}
end

local function note_applied(plan, batches)
  if batches == 0 then return end
  local outcomes = plan.outcomes
  plan.applied = plan.applied + batches
  outcomes[#outcomes + 1] = '+' .. text(batches)
end

-- Batches of one put without an expiry each, with no check but one of the same key: what is checked, or '',
-- key, value in turn. The commonest groups by far, in few arguments and steps.
local function plan_puts(keys, args, seq, time)
  local plan = new_plan(seq)
  local outcomes, puts, new_keys, unexpiring = plan.outcomes, plan.puts, plan.new_keys, plan.unexpiring
  local row_seqs, row_keys = plan.row_seqs, plan.row_keys
  local wanted, count = {}, 0
  for at = kFirstItem + 1, #args, 3 do
    count = count + 1
    wanted[count] = args[at]
  end
  local at, rows, run = kFirstItem, 0, 0
  for from = 1, count, kMostArguments do
    local most = math.min(from + kMostArguments - 1, count)
    for _, raw in ipairs(redis.call('HMGET', keys[2], unpack(wanted, from, most))) do
      local what, key = args[at], args[at + 1]
      local held, expires = what == '' or what == 'a', false
      if raw then
        if not held and sub(raw, 1, #what) == what then
          local first, second = byte(raw, #what + 1, #what + 2)
          expires = first ~= 45 or second ~= 32
          held = not expires or holds(what, raw, time)
        else
          local _
          _, expires = expiry_of(raw)
          held = what == '' or what == 'a' and holds(what, raw, time)
        end
      end
      if held then
        seq = seq + 1
        run = run + 1
        rows = rows + 1
        row_seqs[rows] = seq
        row_keys[rows] = key
        puts[2 * rows - 1] = key
        puts[2 * rows] = text(seq) .. ' - ' .. args[at + 2]
        if not raw then
          new_keys[#new_keys + 1] = '0'
          new_keys[#new_keys + 1] = key
        elseif expires then
          unexpiring[#unexpiring + 1] = key
        end
      else
        note_applied(plan, run)
        run = 0
        outcomes[#outcomes + 1] = '0'
      end
      at = at + 3
    end
  end
  note_applied(plan, run)
  plan.seq = seq
  return plan
end

-- Batches of any kind: items, of which each begins with a letter, the checks of a batch before its writes, and
-- each batch is ended by '.'.
local function plan_batches(keys, args, head, seq, time, importing)
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

  local log = new_log(keys[4])
  local plan = new_plan(seq)
  local outcomes, seqs, run, stamped = plan.outcomes, {}, 0, {}
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
      note_applied(plan, run)
      run = 0
      outcomes[#outcomes + 1] = text(failed)
    else
      run = run + 1
      if not importing then seq = seq + 1 end
      seqs[batch] = seq
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
  note_applied(plan, run)
  plan.seq = seq
  fetch(keys[2], stamped, was)

  -- What is there after the batches so far, of keys that they touched: an entry, or false.
  local staged, touched = {}, {}
  local row_seqs, row_keys = plan.row_seqs, plan.row_keys
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

  local puts, new_keys, gone = plan.puts, plan.new_keys, plan.gone
  local expiries, unexpiring = plan.expiries, plan.unexpiring
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
        new_keys[#new_keys + 1] = '0'
        new_keys[#new_keys + 1] = key
      end
      local from, expires = expiry_of(raw)
      if expires then
        local expiry = match(raw, '^%S+', from)
        expiries[#expiries + 1] = expiry
        expiries[#expiries + 1] = key
        if not plan.lowest_expiry or before(expiry, plan.lowest_expiry) then plan.lowest_expiry = expiry end
      elseif had_expiry then
        unexpiring[#unexpiring + 1] = key
      end
    elseif old then
      gone[#gone + 1] = key
      if had_expiry then unexpiring[#unexpiring + 1] = key end
    end
  end
  return plan
end

-- commit: server, name, due name, channel, session, number, content hash, retry, history, new history, now,
-- clock skew limit, token, shape, repeat, form; then what plan_puts takes, if the form is 'p', or plan_batches
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

  local seq = tonumber(head[2] or '0')
  local plan
  if args[16] == 'p' then
    plan = plan_puts(keys, args, seq, time)
  else
    plan = plan_batches(keys, args, head, seq, time, importing)
  end
  seq = plan.seq
  local retry = args[8] == '1'
  local history = head[1] or (importing and kNoHistory) or args[10]
  local outcomes = table.concat(plan.outcomes, ',')
  if plan.applied == 0 and not retry then
    return (head[1] or kNoHistory) .. ' ' .. text(seq) .. ' ' .. outcomes
  end

  local puts, new_keys, gone, expiries, unexpiring =
    plan.puts, plan.new_keys, plan.gone, plan.expiries, plan.unexpiring
  local row_seqs, row_keys, lowest_expiry = plan.row_seqs, plan.row_keys, plan.lowest_expiry
  -- A foreign key in the place of one of ours is found before the first write.
  redis.call('ZCARD', keys[6])
  if #new_keys + #gone > 0 then redis.call('ZCARD', keys[3]) end
  if #expiries + #unexpiring > 0 then redis.call('ZCARD', keys[5]) end
  if lowest_expiry then redis.call('ZCARD', keys[8]) end
  if not exists(head) then redis.call('ZCARD', keys[7]) end

  -- First, since it says itself that the log is something else, or further on.
  local part = 0
  for from = 1, #row_keys, kMostArguments / 2 do
    local most = math.min(from + kMostArguments / 2 - 1, #row_keys)
    local newest = row_seqs[most]
    local fields = {}
    for row = from, most do
      fields[#fields + 1] = offset_text(newest - row_seqs[row])
      fields[#fields + 1] = row_keys[row]
    end
    redis.call('XADD', keys[4], text(newest) .. '-' .. text(part), unpack(fields))
    part = part + 1
  end
  call_in_slices('HSET', keys[2], puts, kMostArguments)
  call_in_slices('HDEL', keys[2], gone, kMostArguments)
  call_in_slices('ZADD', keys[3], new_keys, kMostArguments)
  call_in_slices('ZREM', keys[3], gone, kMostArguments)
  call_in_slices('ZADD', keys[5], expiries, kMostArguments)
  call_in_slices('ZREM', keys[5], unexpiring, kMostArguments)
  if lowest_expiry then redis.call('ZADD', keys[8], 'LT', lowest_expiry, args[3]) end
  if not exists(head) then redis.call('ZADD', keys[7], 0, args[2]) end
  local answer = history .. ' ' .. text(seq) .. ' ' .. outcomes
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
