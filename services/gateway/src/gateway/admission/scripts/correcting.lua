-- Changes what a bucket holds by a call that took too much or too little.
local function correct(name, limit, used, at, amount, now)
  if limit and amount ~= 0 then
    local words = {}
    put_bucket(words, name, drained(used, at, limit, now) + amount * PER_UNIT, at, now)
    command('HSET', STATE, unpack(words))
  end
end
