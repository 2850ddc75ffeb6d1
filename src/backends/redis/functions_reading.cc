// The functions `get` and `read` (§2).
#include "backends/redis/functions.h"

namespace holdfast::redis {

View reading_functions() {
  return R"lua(-- get: server, the key; the commonest read, with nothing but the head and the entry. The caller looks whether it
-- is live. The keys are the first two.
local function get(keys, args)
  local head = head_of(keys[1])
  if is_of_another_server(head, args[1]) then return other_server(head) end
  head[7] = call('HGET', keys[2], args[2])
  return head
end

-- read: server, now, gets, the keys, scans, (first, last, limit, direction, what) each, checks, the checks
local function read(keys, args)
  local head = head_of(keys[1])
  if is_of_another_server(head, args[1]) then return other_server(head) end
  local time = later(args[2], head[3] or args[2])
  local taken = 0
  local function take(bytes)
    if taken ~= 0 and taken + bytes > kAnswerBytes then return false end
    taken = taken + bytes
    return true
  end

  local at = 3
  local function next_argument()
    at = at + 1
    return args[at - 1]
  end

  local gets = {}
  local count = tonumber(next_argument())
  local cut = false
  for from = 0, count - 1, 64 do
    local most = math.min(from + 64, count) - 1
    local raws = cut and {} or call('HMGET', keys[2], unpack(args, at + from, at + most))
    for i, raw in ipairs(raws) do
      if raw then
        local _, expiry, value_at = entry_of(raw)
        if not is_live(expiry, time) then
          raw = false
        elseif not take(#args[at + from + i - 1] + #raw - value_at + 1) then
          cut = true
          break
        end
      end
      gets[#gets + 1] = raw
    end
  end
  at = at + count

  local function scan(first, last, limit, reverse, keys_only)
    local page = {0}
    local low, high = '[' .. first, last == '' and '+' or '(' .. last
    local listed = 0
    local slice = math.min(limit + 1, 100)
    while true do
      local found
      if reverse then
        found = call('ZREVRANGEBYLEX', keys[3], high, low, 'LIMIT', 0, slice)
      else
        found = call('ZRANGEBYLEX', keys[3], low, high, 'LIMIT', 0, slice)
      end
      if #found == 0 then return page end
      local raws = call('HMGET', keys[2], unpack(found))
      local bytes = 0
      for i, key in ipairs(found) do
        local raw = raws[i]
        if not raw then error('HOLDFAST a key has no entry') end
        bytes = bytes + #raw
        local _, expiry, value_at = entry_of(raw)
        if is_live(expiry, time) then
          local value_bytes = keys_only and 0 or #raw - value_at + 1
          if listed == limit or not take(#key + value_bytes) then
            page[1] = 1
            return page
          end
          listed = listed + 1
          page[#page + 1] = key
          page[#page + 1] = keys_only and sub(raw, 1, value_at - 1) or raw
        end
      end
      if #found < slice then return page end
      if reverse then high = '(' .. found[#found] else low = '(' .. found[#found] end
      local fitting = math.floor(kAnswerBytes / (bytes / #found))
      slice = math.max(16, math.min(1000, limit + 1 - listed, fitting))
    end
  end

  local pages = {}
  for _ = 1, tonumber(next_argument()) do
    local first, last, limit = next_argument(), next_argument(), tonumber(next_argument())
    local reverse, keys_only = next_argument() == 'r', next_argument() == 'k'
    pages[#pages + 1] = scan(first, last, limit, reverse, keys_only)
  end

  local failed = -1
  local log = new_log(keys[4])
  for i = 1, tonumber(next_argument()) do
    local wanted = next_argument()
    local held
    if wanted == 'u' then
      held = is_unchanged(keys, head, log, time, next_argument(), next_argument(), next_argument(),
                          next_argument())
    else
      held = holds(wanted, call('HGET', keys[2], next_argument()), time)
    end
    if not held then
      failed = i - 1
      break
    end
  end
  return {'ok', head, gets, pages, failed}
end
)lua";
}

}  // namespace holdfast::redis
