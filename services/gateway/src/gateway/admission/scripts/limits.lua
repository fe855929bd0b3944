-- Rates and budgets. A rate is a bucket that drains its limit per minute: what it holds is counted in 60,000ths, so
-- that everything stays whole per millisecond.
local PER_UNIT = 60000

local function drained(used, at, limit, now)
  local holds, drops = tonumber(used or '0'), math.max(0, now - tonumber(at or '0')) * tonumber(limit)
  return drops >= holds and 0 or holds - drops
end

-- Answers what the bucket holds after this, or nil and after how many ms it will have room ('' never).
local function poured(holds, amount, limit)
  local after = holds + amount * PER_UNIT
  local over = after - limit * PER_UNIT
  if over <= 0 then
    return after
  end
  if amount > limit then
    return nil, ''
  end
  return nil, text(math.ceil(over / limit))
end

local function set_bucket(name, holds, at)
  redis.call('HSET', STATE, name .. '_used', text(math.max(0, math.min(holds, MAX_AMOUNT))), name .. '_at', text(at))
end

-- Changes what a bucket holds by a call that took too much or too little; at a clock that went back, no earlier.
local function correct(name, limit, used, at, amount, now)
  if limit and amount ~= 0 then
    set_bucket(name, drained(used, at, limit, now) + amount * PER_UNIT, math.max(now, tonumber(at or '0')))
  end
end

-- The first budget that a further price would break: its scope, window and reset.
local function broken_budget(names, in_flight, price, now)
  local budgets = redis.call('HMGET', BUDGETS, unpack(names))
  for i, name in ipairs(names) do
    if budgets[i] then
      local flying = tonumber(in_flight[i] or '0')
      for window, limit, spent, resets in string.gmatch(budgets[i], '(%a+)|(%d+)|(%d+)|(%d*)') do
        local booked = (resets ~= '' and tonumber(resets) <= now) and 0 or tonumber(spent)
        if price > 0 and booked + flying + price > tonumber(limit) then
          return string.match(name, '^[%a_]+'), window, resets
        end
      end
    end
  end
end
