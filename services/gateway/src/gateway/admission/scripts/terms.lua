-- ARGV: run, offset. The account's terms as its gateways read them.
local run, terms = unpack(command('HMGET', STATE, 'run', 'terms'))
return run == ARGV[1] and terms or 'reload'
