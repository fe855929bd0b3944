-- Everything about an account that its owner may see. ARGV: run, offset.
local run, debt, slices, rpm, tpm, rates, account, terms, allowance = unpack(command(
  'HMGET', STATE, 'run', 'debt', 'slices', 'rpm', 'tpm', 'rates', 'state', 'terms', 'allowance'
))
local rpm_used, rpm_at, tpm_used, tpm_at = read_rates(rates)
if run ~= ARGV[1] then
  return { 'reload' }
end
local now = server_ms()
local left = room(slices, now, debt)
local held, ended, flight = { r = 0, t = 0, c = 0, o = 0 }, { r = 0, t = 0, c = 0, o = 0 }, {}

-- As FLIGHT would count it if all were limited.
local function fly(name, amount)
  flight[name] = (flight[name] or 0) + amount
end

for _, packed in ipairs(command('HVALS', CALLS)) do
  local entry = read_entry(packed)
  local into = entry.state == 'held' and held or ended
  for slice, amount in gmatch(entry.split, PART) do
    local unit = sub(slice, -1)
    into[unit] = into[unit] + amount
  end
  for _, name in ipairs(people(entry.user, entry.project, entry.key)) do
    fly(name, entry.price)
  end
  if entry.state == 'held' and entry.expires == '' then
    fly('open', 1)
    if entry.user ~= '' then
      fly('open:' .. entry.user, 1)
    end
  end
end
local flying = {}
for name, amount in pairs(flight) do
  flying[#flying + 1], flying[#flying + 2] = name, text(amount)
end
local by_unit = {}
for _, unit in ipairs(UNITS) do
  by_unit[#by_unit + 1] = text(left[unit])
  by_unit[#by_unit + 1] = text(held[unit])
  by_unit[#by_unit + 1] = text(ended[unit])
end
return {
  'ok', account, terms, text(now), by_unit, text(rpm and drained(rpm_used, rpm_at, rpm, now) or 0),
  text(tpm and drained(tpm_used, tpm_at, tpm, now) or 0), command('HGETALL', BUDGETS), flying,
  match(allowance, '^(.*)|(.*)|(.*)$'),
}
