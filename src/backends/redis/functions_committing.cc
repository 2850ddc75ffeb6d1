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

local kFirstItem = 10

local function fetch(entries, wanted, known)
  for from = 1, #wanted, kMostArguments do
    local most = math.min(from + kMostArguments - 1, #wanted)
    local raws = call('HMGET', entries, unpack(wanted, from, most))
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
    call('HDEL', keys[1], unpack(fields))
    call('ZREM', keys[6], unpack(ids))
  end
  local now = tonumber(time)
  forget(call('ZRANGEBYSCORE', keys[6], '-inf', '(' .. text(now - kSessionKeptMs), 'LIMIT', 0, 100))
  local surplus = call('ZCARD', keys[6]) - kSessions
  if surplus <= 0 then return end
  forget(call('ZRANGEBYSCORE', keys[6], '-inf', '(' .. text(now - kSessionUntouchableMs), 'LIMIT', 0,
                    math.min(surplus, 100)))
end

local kNone = {}

-- What a group does: its outcomes as the answer says them, what is written, and the rows of the log.
local function new_plan(seq)
  return {seq = seq, applied = 0, outcomes = {}, puts = {}, new_keys = {}, gone = kNone, expiries = kNone,
          unexpiring = {}, row_seqs = {}, row_keys = {}, lowest_expiry = nil}
end

local function note_applied(plan, batches)
  if batches == 0 then return end
  local outcomes = plan.outcomes
  plan.applied = plan.applied + batches
  outcomes[#outcomes + 1] = '+' .. small_text(batches)
end

-- Whether a batch of plan_puts() is applied, and whether its key has had an expiry.
local function judge_put(what, raw, time)
  if not raw then return what == '' or what == 'a', false end
  if what ~= '' and sub(raw, 1, #what) == what then
    local first, second = byte(raw, #what + 1, #what + 2)
    local expires = first ~= 45 or second ~= 32
    return not expires or holds(what, raw, time), expires
  end
  local _, expires = expiry_of(raw)
  return what == '' or what == 'a' and holds(what, raw, time), expires
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
    for _, raw in ipairs(call('HMGET', keys[2], unpack(wanted, from, most))) do
      local what, key = args[at], args[at + 1]
      local held, expires = judge_put(what, raw, time)
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

  local puts, new_keys, unexpiring = plan.puts, plan.new_keys, plan.unexpiring
  local gone, expiries = {}, {}
  plan.gone, plan.expiries = gone, expiries
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

-- What is seldom needed of a commit: the clock skew limit, the token, the history if it is the first, the name as in
-- the keys, and the name.
local function seldom(args) return match(args[9], '^(%S+) (%x+) (%x+) (%S*) (.*)$') end

-- Before the first write, so that a foreign key in the place of one of ours is found in time.
local function expect_set(key) call('ZCARD', key) end

-- What every commit writes after its entries and its rows of the log; its answer.
local function finish(keys, args, head, record, is_placed, time, history, seq, outcomes)
  local answer = history .. ' ' .. seq .. ' ' .. outcomes
  local new_record = args[4] .. ' ' .. args[5] .. ' ' .. time .. ' ' .. answer
  if exists(head) then
    call('HSET', keys[1], 'seq', seq, 'time', time, args[3], new_record)
  else
    call('HSET', keys[1], 'history', history, 'seq', seq, 'time', time, 'floor', '0', 'server', args[1], args[3],
         new_record)
  end
  if not is_placed then call('ZADD', keys[6], time, sub(args[3], 3)) end
  if not record then forget_sessions(keys, time) end
  call('SPUBLISH', args[2], seq)
  return answer
end

-- A group of one batch that plan_puts() takes, in a database that is there: without lists, which take a fifth of
-- the time. Nothing if the batch is not applied.
local function commit_put(keys, args, head, record, is_placed, time)
  local key = args[kFirstItem + 1]
  local raw = call('HGET', keys[2], key)
  local held, expires = judge_put(args[kFirstItem], raw, time)
  if not held then return nil end
  if not is_placed then expect_set(keys[6]) end
  if not raw then expect_set(keys[3]) end
  if expires then expect_set(keys[5]) end
  local seq = text(head[2] + 1)
  call('XADD', keys[4], seq .. '-0', '0', key)
  call('HSET', keys[2], key, seq .. ' - ' .. args[kFirstItem + 2])
  if not raw then call('ZADD', keys[3], '0', key) end
  if expires then call('ZREM', keys[5], key) end
  return finish(keys, args, head, record, is_placed, time, head[1], seq, '+1')
end

-- commit: server, channel, 's:' and session, number, content hash, history, now, switches, what seldom() takes; then
-- what plan_puts takes, or plan_batches. The switches: 'p' for plan_puts, or 'b'; whether a database may be open,
-- and importing; whether it is a retry; whether replicas are waited for. The last two keys are missing where a group
-- neither begins a database nor has an expiry.
local function commit(keys, args)
  local session_field = args[3]
  local head = call('HMGET', keys[1], 'history', 'seq', 'time', 'floor', 'fence', 'server', session_field)
  if is_of_another_server(head, args[1]) then return other_server(head) end

  local record, used_at = head[7], nil
  if record then
    -- "<number> <hash of 16 digits> <used at> <answer>"
    local hash_at = find(record, ' ', 1, true) + 1
    local answer_at = find(record, ' ', hash_at + 17, true) + 1
    local number = sub(record, 1, hash_at - 2)
    if number == args[4] and sub(record, hash_at, hash_at + 15) == args[5] then
      -- Written again, so that a WAIT that follows waits for it.
      if byte(args[8], 5) == 49 then call('HSET', keys[1], session_field, record) end
      return sub(record, answer_at)
    end
    if not before(number, args[4]) then return {'refused', head} end
    used_at = sub(record, hash_at + 17, answer_at - 2)
  end
  if args[6] ~= kNoHistory and args[6] ~= head[1] then return {'refused', head} end
  local importing = is_importing(head)
  if head[5] then
    local token = match(head[5], '^%a+ (%x+)')
    local _, own_token = seldom(args)
    if token == kNoHistory or token ~= own_token then return {'refused', head} end
  end
  if byte(args[8], importing and 3 or 2) ~= 49 then return {'refused', head} end
  local time = args[7]
  if head[3] and before(time, head[3]) then
    local skew_limit = tonumber((seldom(args)))
    if skew_limit > 0 and head[3] - time > skew_limit then return {'refused', head} end
    time = head[3]
  end

  -- A session that was used in the same minute has a place that is good enough for forgetting it.
  local is_placed = used_at == time or used_at and math.floor(used_at / 60000) == math.floor(time / 60000)
  local is_of_puts = byte(args[8]) == 112
  if is_of_puts and head[1] and #args == kFirstItem + 2 then
    local answer = commit_put(keys, args, head, record, is_placed, time)
    if answer then return answer end
  end

  local seq = tonumber(head[2] or '0')
  local plan
  if is_of_puts then
    plan = plan_puts(keys, args, seq, time)
  else
    plan = plan_batches(keys, args, head, seq, time, importing)
  end
  seq = text(plan.seq)
  local is_retry = byte(args[8], 4) == 49
  local outcomes = table.concat(plan.outcomes, ',')
  if plan.applied == 0 and not is_retry then return (head[1] or kNoHistory) .. ' ' .. seq .. ' ' .. outcomes end

  local puts, new_keys, gone, expiries, unexpiring =
    plan.puts, plan.new_keys, plan.gone, plan.expiries, plan.unexpiring
  local row_seqs, row_keys, lowest_expiry = plan.row_seqs, plan.row_keys, plan.lowest_expiry
  local _, new_history, encoded_name, name
  if lowest_expiry or not exists(head) then _, _, new_history, encoded_name, name = seldom(args) end
  local history = head[1] or (importing and kNoHistory) or new_history
  if not is_placed then expect_set(keys[6]) end
  if #new_keys + #gone > 0 then expect_set(keys[3]) end
  if #expiries + #unexpiring > 0 then expect_set(keys[5]) end
  if lowest_expiry then expect_set(keys[8]) end
  if not exists(head) then expect_set(keys[7]) end

  -- First, since it says itself that the log is something else, or further on.
  local part = 0
  for from = 1, #row_keys, kMostArguments / 2 do
    local most = math.min(from + kMostArguments / 2 - 1, #row_keys)
    local newest = row_seqs[most]
    local fields, count = {}, 0
    for row = from, most do
      fields[count + 1] = small_text(newest - row_seqs[row])
      fields[count + 2] = row_keys[row]
      count = count + 2
    end
    call('XADD', keys[4], text(newest) .. '-' .. small_text(part), unpack(fields))
    part = part + 1
  end
  call_in_slices('HSET', keys[2], puts, kMostArguments)
  call_in_slices('HDEL', keys[2], gone, kMostArguments)
  call_in_slices('ZADD', keys[3], new_keys, kMostArguments)
  call_in_slices('ZREM', keys[3], gone, kMostArguments)
  call_in_slices('ZADD', keys[5], expiries, kMostArguments)
  call_in_slices('ZREM', keys[5], unexpiring, kMostArguments)
  if lowest_expiry then call('ZADD', keys[8], 'LT', lowest_expiry, encoded_name) end
  if not exists(head) then call('ZADD', keys[7], 0, name) end
  return finish(keys, args, head, record, is_placed, time, history, seq, outcomes)
end
)lua";
}

}  // namespace holdfast::redis
