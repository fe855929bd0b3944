-- Entries as tables, for scripts that change more than one thing about them.
local function read_entry(packed)
  local state, due, stamp, price, tokens, overage, requests, rate, user, project, key, expires, split, report_at = match(
    packed, '^(%a+)|(%d+)|(%d+|%d+|%d*|[^|]*)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%x*)|(%x*)|(%x*)|(%d*)|([^|]*)|()'
  )
  return {
    state = state, due = due, stamp = stamp, price = price, tokens = tokens, overage = overage, requests = requests,
    rate = rate, user = user, project = project, key = key, expires = expires, split = split,
    report = sub(packed, report_at),
  }
end

local function entry_of(call)
  local packed = command('HGET', CALLS, call)
  return packed and read_entry(packed)
end

-- Enters a call that Redis did not know, as its gateway does: held.
local function enter(call, packed, due, report)
  packed = 'held|' .. due .. '|' .. packed .. '|' .. report
  local entry = read_entry(packed)
  move('', entry.split)
  charge(scopes(entry.user, entry.project, entry.key), entry.price)
  lease(entry.user, entry.expires, '1')
  command('HSET', CALLS, call, packed)
  return entry
end

-- The same call in another state; the caller changes more of it where more changes.
local function become(entry, state, due)
  local after = {}
  for name, value in pairs(entry) do
    after[name] = value
  end
  after.state, after.due = state, due
  return after
end

local function change(id, before, after)
  move(before.split, after.split)
  charge(scopes(before.user, before.project, before.key), text(after.price - before.price))
  if before.state == 'held' and after.state ~= 'held' then
    lease(before.user, before.expires, '-1')
  end
  command('HSET', CALLS, id, table.concat({
    after.state, after.due, after.stamp, after.price, after.tokens, after.overage, after.requests, after.rate,
    after.user, after.project, after.key, after.expires, after.split, after.report,
  }, '|'))
end

local function remove(id, entry)
  move(entry.split, '')
  charge(scopes(entry.user, entry.project, entry.key), text(0 - entry.price))
  if entry.state == 'held' then
    lease(entry.user, entry.expires, '-1')
  end
  command('HDEL', CALLS, id)
end
