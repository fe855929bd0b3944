-- What may be used now by unit, and the slices that have room, in burn order. What stands on slices that the snapshot
-- does not know (any more) counts against the rest; what stands on slices that are not valid now counts nowhere.
local function room(slices, now, debt)
  local used, flat, met = {}, command('HGETALL', USED), 0
  -- Most accounts have one slice, of credits, and nothing stands on another: the same as below, in a third of the time.
  local only, starts, ends, holds = match(slices or '', '^([^|,]+:c)|(%d+)|(%d*)|(%d+),$')
  if only and (not flat[1] or (flat[1] == only and not flat[3])) then
    local left, credit, list = holds - (flat[2] or 0), 0 - math.min(debt, MAX_AMOUNT), nil
    if tonumber(starts) <= now and (ends == '' or now < tonumber(ends)) then
      if left < 0 then
        credit = 0 - math.min(debt - left, MAX_AMOUNT)
      else
        credit, list = math.min(credit + left, MAX_AMOUNT), { only, left }
      end
    end
    return { r = 0, t = 0, c = credit, o = 0 }, { c = list }
  end
  for i = 1, #flat, 2 do
    used[flat[i]] = flat[i + 1]
  end
  local free, owed = {}, { r = 0, t = 0, c = tonumber(debt), o = 0 }
  for slice, unit, from, till, amount in gmatch(slices or '', '([^|]+:(%a))|(%d+)|(%d*)|(%d+),') do
    local left = amount - (used[slice] or 0)
    if used[slice] then
      met = met + 1
    end
    if tonumber(from) <= now and (till == '' or now < tonumber(till)) then
      if left < 0 then
        owed[unit] = owed[unit] - left
      else
        local list = free[unit]
        if list then
          list[#list + 1], list[#list + 2] = slice, left
        else
          free[unit] = { slice, left }
        end
      end
    end
  end
  if met ~= #flat / 2 then
    for slice, amount in pairs(used) do
      if not find(',' .. (slices or ''), ',' .. slice .. '|', 1, true) then
        local unit = sub(slice, -1)
        owed[unit] = owed[unit] + amount
      end
    end
  end
  -- Sums stop at the highest amount, where doubles are still exact: beyond it, it denies early or says "at least".
  for unit, amount in pairs(owed) do
    local sum, list = amount > MAX_AMOUNT and 0 - MAX_AMOUNT or 0 - amount, free[unit]
    for i = 2, list and #list or 0, 2 do
      sum = math.min(sum + list[i], MAX_AMOUNT)
    end
    owed[unit] = sum
  end
  return owed, free
end

-- Puts amounts on slices in burn order; they must fit.
local function spread(amounts, free)
  local split = ''
  for i = 1, 4 do
    local left, list, at = amounts[UNITS[i]], free[UNITS[i]], 1
    while left > 0 and list and list[at] do
      local amount = math.min(list[at + 1], left)
      if amount > 0 then
        split = split .. (split == '' and '' or ',') .. list[at] .. '=' .. text(amount)
        left = left - amount
      end
      at = at + 2
    end
  end
  return split
end
