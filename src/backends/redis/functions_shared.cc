// What the functions share: heads, entries, ranges, and the checks of §4.
#include "backends/redis/functions.h"

namespace holdfast::redis {

View shared_functions() {
  return R"lua(local kHead = {'history', 'seq', 'time', 'floor', 'fence', 'server'}
local kNoHistory = '0000000000000000'
local kMostArguments = 4000
local kAnswerBytes = 8388608
local kUnchangedRows = 10000
local kChangesRows = 50000
local kSessions = 10000
local kSessionKeptMs = 604800000
local kSessionUntouchableMs = 3600000

-- Not there yet while the library is being loaded.
local call, byte, sub, find, match, format, whole
local function prepared(callback)
  return function(keys, args)
    if not call then
      call = redis.call
      byte, sub, find, match, format = string.byte, string.sub, string.find, string.match, string.format
      -- Of the two formats that are exact the first is faster, where a long has 64 bits.
      whole = format('%d', 2 ^ 52) == '4503599627370496' and '%d' or '%.0f'
    end
    return callback(keys, args)
  end
end

local function text(number) return format(whole, number) end

-- Of numbers that are mostly small.
local kSmallTexts = {}
local function small_text(number)
  local known = kSmallTexts[number]
  if not known then
    known = text(number)
    if number < 1024 then kSmallTexts[number] = known end
  end
  return known
end

-- Decimal texts of any size.
local function before(a, b)
  if a == b then return false end
  -- Adding makes a number of a text in a third of the time of tonumber().
  if #a < 16 and #b < 16 then return a + 0 < b + 0 end
  local a_negative, b_negative = byte(a) == 45, byte(b) == 45
  if a_negative ~= b_negative then return a_negative end
  if #a ~= #b then return (#a < #b) ~= a_negative end
  for i = 1, #a do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return (x < y) ~= a_negative end
  end
  return false
end

local function later(a, b)
  if before(a, b) then return b end
  return a
end

local function sorts_before(a, b, from)
  for i = from, math.min(#a, #b) do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- Whatever lies in [first, last) begins with what both begin with.
local function range_of(first, last)
  local shared = 0
  if last ~= '' then
    local most = math.min(#first, #last)
    while shared < most and byte(first, shared + 1) == byte(last, shared + 1) do shared = shared + 1 end
  end
  return {first = first, last = last, shared = shared, prefix = sub(first, 1, shared)}
end

local function contains(range, key)
  local shared = range.shared
  if shared > 0 and sub(key, 1, shared) ~= range.prefix then return false end
  if sorts_before(key, range.first, shared + 1) then return false end
  return range.last == '' or sorts_before(key, range.last, shared + 1)
end

local function entry_of(raw)
  local version, expiry, value_at = match(raw, '^(%d+) (%S+) ()')
  if not version then error('HOLDFAST an entry is damaged') end
  return version, expiry, value_at
end

-- Where the expiry of an entry begins, and whether there is one.
local function expiry_of(raw)
  local space = find(raw, ' ', 1, true)
  if not space then error('HOLDFAST an entry is damaged') end
  -- '-' alone is none; before a digit it is the sign of a time before 1970.
  return space + 1, byte(raw, space + 1) ~= 45 or byte(raw, space + 2) ~= 32
end

local function is_live(expiry, time) return expiry == '-' or before(time, expiry) end

local function call_in_slices(command, key, items, size)
  for i = 1, #items, size do
    call(command, key, unpack(items, i, math.min(i + size - 1, #items)))
  end
end

local function head_of(key) return call('HMGET', key, unpack(kHead)) end
local function exists(head) return head[1] or head[5] end
local function is_importing(head) return head[5] and sub(head[5], 1, 10) == 'importing ' end
-- Whether what the head says was written by a server that may have lost commits since.
local function is_of_another_server(head, server) return exists(head) and head[6] ~= server end
local function other_server(head) return {'server', head} end

-- The newest rows of the change log, read as far as somebody asks.
local function new_log(key)
  return {key = key, seqs = {}, row_keys = {}, rows = 0, from = '+', done = false}
end

local function log_row(log, i)
  while i > log.rows and not log.done do
    local found = call('XREVRANGE', log.key, log.from, '-', 'COUNT', 100)
    if #found < 100 then log.done = true end
    for _, entry in ipairs(found) do
      local newest = tonumber(match(entry[1], '^%d+'))
      local fields = entry[2]
      for field = #fields - 1, 1, -2 do
        log.rows = log.rows + 1
        log.seqs[log.rows] = newest - tonumber(fields[field])
        log.row_keys[log.rows] = fields[field + 1]
      end
      log.from = '(' .. entry[1]
    end
  end
  return log.seqs[i], log.row_keys[i]
end

local function is_unchanged(keys, head, log, time, since_text, read_time, first, last)
  local since = tonumber(since_text)
  if since < tonumber(head[4] or '0') then return false end
  local range = range_of(first, last)
  local i = 1
  while true do
    local seq, key = log_row(log, i)
    if not seq or seq <= since then break end
    if i > kUnchangedRows or contains(range, key) then return false end
    i = i + 1
  end
  if not before(read_time, time) then return true end
  local offset = 0
  while true do
    local due = call('ZRANGEBYSCORE', keys[5], read_time, time, 'WITHSCORES', 'LIMIT', offset, 1000)
    for at = 1, #due, 2 do
      if contains(range, due[at]) then
        local expiry = text(tonumber(due[at + 1]))
        if before(read_time, expiry) and not before(time, expiry) then return false end
      end
    end
    if #due < 2000 then return true end
    offset = offset + 1000
  end
end

-- `raw` is what is stored, or false. `wanted` is 'a' or "<version> ".
local function holds(wanted, raw, time)
  if not raw then return wanted == 'a' end
  local at, expires = expiry_of(raw)
  local live = not expires or is_live(match(raw, '^%S+', at), time)
  if wanted == 'a' then return not live end
  return live and sub(raw, 1, #wanted) == wanted
end
)lua";
}

}  // namespace holdfast::redis
