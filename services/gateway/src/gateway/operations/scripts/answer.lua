-- What the use of a key by this call answered, the first answer stands; or '' to forget the use. ARGV: run id, clock
-- offset, call id, answer.
if redis.call('HGET', KEYS[1], 'call') ~= ARGV[3] then
  return 0
end
if ARGV[4] == '' then
  return redis.call('DEL', KEYS[1])
end
redis.call('HSETNX', KEYS[1], 'answer', ARGV[4])
return redis.call('HGET', KEYS[1], 'answer')
