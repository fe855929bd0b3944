-- Changes what the buckets hold by a call that took too much or too little.
local function correct(rates, rpm, requests, tpm, tokens, now)
  local fixes_rpm, fixes_tpm = rpm and requests ~= 0, tpm and tokens ~= 0
  if not fixes_rpm and not fixes_tpm then
    return
  end
  local rpm_used, rpm_at, tpm_used, tpm_at = read_rates(rates)
  command(
    'HSET', STATE, 'rates',
    (fixes_rpm and bucket(drained(rpm_used, rpm_at, rpm, now) + requests * PER_UNIT, rpm_at, now)
      or same_bucket(rpm_used, rpm_at))
    .. '|' .. (fixes_tpm and bucket(drained(tpm_used, tpm_at, tpm, now) + tokens * PER_UNIT, tpm_at, now)
      or same_bucket(tpm_used, tpm_at))
  )
end
