-- Everything about an account that its owner may see. ARGV: run, offset.
local run, debt, slices, rpm, tpm, rpm_used, rpm_at, tpm_used, tpm_at, account, terms, allowance = unpack(command(
  'HMGET', STATE, 'run', 'debt', 'slices', 'rpm', 'tpm', 'rpm_used', 'rpm_at', 'tpm_used', 'tpm_at', 'state', 'terms',
  'allowance'
))
if run ~= ARGV[1] then
  return { 'reload' }
end
local now = server_ms()
local left = room(slices, now, debt)
local held, ended = { r = 0, t = 0, c = 0, o = 0 }, { r = 0, t = 0, c = 0, o = 0 }
for _, packed in ipairs(command('HVALS', CALLS)) do
  local entry = read_entry(packed)
  local into = entry.state == 'held' and held or ended
  for slice, amount in gmatch(entry.split, PART) do
    local unit = sub(slice, -1)
    into[unit] = into[unit] + amount
  end
end
local by_unit = {}
for _, unit in ipairs(UNITS) do
  by_unit[#by_unit + 1] = text(left[unit])
  by_unit[#by_unit + 1] = text(held[unit])
  by_unit[#by_unit + 1] = text(ended[unit])
end
return {
  'ok', account, terms, text(now), by_unit, text(rpm and drained(rpm_used, rpm_at, rpm, now) or 0),
  text(tpm and drained(tpm_used, tpm_at, tpm, now) or 0), command('HGETALL', BUDGETS), command('HGETALL', FLIGHT),
  match(allowance, '^(.*)|(.*)|(.*)$'),
}
