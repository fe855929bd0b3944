-- Shared by every script on one account. KEYS are always these five; ARGV[1] is the server's run id as the caller
-- read it at connect, ARGV[2] the clock offset in ms.
--
-- An entry is `state|admitted_ms|due_ms|markup_bps|plan_version|plan_id|slice=amount,...|report`.
-- Amounts are decimal text: `tostring` and `..` on a number keep 14 digits only, `%.0f` keeps all up to 2^53.
local STATE, SLICES, CALLS, USED, CONFIRMED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local MAX_AMOUNT = 9e15
local CONFIRMED_FOR_MS = 3600000
local CONFIRMED_AT_MOST = 20000
local NO_SLICE = '-'

local function text(number)
  return string.format('%.0f', number)
end

local function server_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[2])
end

local function parse(packed)
  local entry = {}
  entry.state, entry.admitted, entry.due, entry.markup, entry.plan_version, entry.plan_id, entry.split, entry.report =
    string.match(packed, '^(%a+)|(%d+)|(%d+)|(%d+)|(%d*)|([^|]*)|([^|]*)|(.*)$')
  return entry
end

local function write(call, entry)
  redis.call('HSET', CALLS, call, table.concat({
    entry.state, entry.admitted, entry.due, entry.markup, entry.plan_version, entry.plan_id, entry.split, entry.report,
  }, '|'))
end

local function parts(split)
  return string.gmatch(split, '([^=,]+)=(%d+)')
end

local function count(slice, amount)
  if redis.call('HINCRBY', USED, slice, amount) == 0 then
    redis.call('HDEL', USED, slice)
  end
end

local function take(split)
  for slice, amount in parts(split) do
    count(slice, amount)
  end
end

local function give_back(split)
  for slice, amount in parts(split) do
    count(slice, '-' .. amount)
  end
end

local function is_confirmed(call)
  return redis.call('ZSCORE', CONFIRMED, call) ~= false
end

local function used_by_slice()
  local used, flat = {}, redis.call('HGETALL', USED)
  for i = 1, #flat, 2 do
    used[flat[i]] = tonumber(flat[i + 1])
  end
  return used
end

-- What may be used now, and the slices that have room, in burn order. What stands on slices that the snapshot does not
-- know (any more) counts against the rest; what stands on slices that are not valid now counts nowhere.
local function room(now, debt)
  local used, known, free, owed = used_by_slice(), {}, {}, debt
  for _, packed in ipairs(redis.call('LRANGE', SLICES, 0, -1)) do
    local slice, unit, from, till, amount = string.match(packed, '^([^|]+)|(%a+)|(%d+)|(%d*)|(%d+)$')
    known[slice] = true
    if unit == 'credit' and tonumber(from) <= now and (till == '' or now < tonumber(till)) then
      local left = tonumber(amount) - (used[slice] or 0)
      if left < 0 then
        owed = owed - left
      else
        free[#free + 1] = { slice = slice, amount = left }
      end
    end
  end
  for slice, amount in pairs(used) do
    if not known[slice] then
      owed = owed + amount
    end
  end
  -- Sums stop at the highest amount, where doubles are still exact: beyond it, it denies early or says "at least".
  local available = 0 - math.min(owed, MAX_AMOUNT)
  for _, one in ipairs(free) do
    available = math.min(available + one.amount, MAX_AMOUNT)
  end
  return available, free
end
