-- An admission that nobody heard of: its call never began. ARGV: run, offset, call.
-- What it took is given back at once; its entry stays as swept, so that a sweeper reports it and the ledger removes it.
-- Where the admission has not run yet it must never run: its id is remembered as confirmed.
local now = server_ms()
local entry = entry_of(ARGV[3])
if not entry then
  if not is_confirmed(ARGV[3]) then
    command('ZADD', CONFIRMED, text(now), ARGV[3])
    command('PEXPIRE', CONFIRMED, text(CONFIRMED_FOR_MS))
  end
  return 'unknown'
end
if entry.state ~= 'held' then
  return entry.state
end
local rpm, tpm, rates = unpack(command('HMGET', STATE, 'rpm', 'tpm', 'rates'))
correct(rates, rpm, -1, tpm, 0 - entry.rate, now)
local released = become(entry, 'swept', text(now))
released.price, released.tokens, released.overage, released.requests, released.rate = '0', '0', '0', '0', '0'
released.split = ''
change(ARGV[3], entry, released)
return 'held'
