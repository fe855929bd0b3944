-- What rates and budgets say to a call that would take more.

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

-- The first budget that a further price would break: its scope, window and reset.
local function broken_budget(names, price, now)
  local budgets, in_flight = command('HMGET', BUDGETS, unpack(names)), command('HMGET', FLIGHT, unpack(names))
  for i = 1, #names do
    if budgets[i] and price > 0 then
      local adds = (in_flight[i] or 0) + price
      for window, limit, spent, resets in gmatch(budgets[i], '(%a+)|(%d+)|(%d+)|(%d*)') do
        local booked = (resets ~= '' and tonumber(resets) <= now) and 0 or spent
        if booked + adds > tonumber(limit) then
          return match(names[i], '^[%a_]+'), window, resets
        end
      end
    end
  end
end
