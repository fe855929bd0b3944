-- Shared by every script on one account. KEYS are always these six; ARGV[1] is the server's run as the caller read it
-- at connect, ARGV[2] the clock offset in ms.
--
-- An entry is `state|due_ms|` and then the call as its gateway knows it,
-- `stamp|price|tokens|overage|requests|rate|user|project|key|expires_ms|split`, and then `|report`. A stamp is
-- `admitted_ms|markup_bps|plan_version|plan_id`, a split `slice:unit=amount,...`; units are r(equest), t(oken),
-- c(redit), o(verage).
-- FLIGHT counts what entries stand for, as far as something limits it: prices by scope that has a budget, leases of held
-- ones. What is limited changes with a snapshot only, and then `apply` counts anew.
-- Amounts are decimal text: `tostring` and `..` on a number keep 14 digits only, `%.0f` keeps all up to 2^53.
-- All of this is made anew in each run of a script, so a prelude holds no more than its scripts need.
local STATE, CALLS, USED, CONFIRMED, FLIGHT, BUDGETS = unpack(KEYS)
local MAX_AMOUNT = 9e15
local PART = '([^=,]+)=(%d+)'
local command, format, match, gmatch, find, sub = redis.call, string.format, string.match, string.gmatch, string.find,
  string.sub

local function text(number)
  return format('%.0f', number)
end

local function server_ms()
  local time = command('TIME')
  return time[1] * 1000 + (time[2] - time[2] % 1000) / 1000 + ARGV[2]
end

local function is_confirmed(call)
  return command('ZSCORE', CONFIRMED, call) ~= false
end

local function add(key, field, amount)
  if amount ~= '0' and command('HINCRBY', key, field, amount) == 0 then
    command('HDEL', key, field)
  end
end

local MARKS

-- Whether the account has what a mark stands for; see `snapshot_words`.
local function marked(mark)
  MARKS = MARKS or command('HGET', STATE, 'marks') or ''
  return find(MARKS, mark, 1, true)
end

-- Who an entry's price counts against, as BUDGETS and FLIGHT name them.
local function people(user, project, key)
  local names, count = { 'account' }, 1
  if user ~= '' then
    names[2], count = 'member:' .. user, 2
  end
  if project ~= '' then
    count = count + 1
    names[count] = 'project:' .. project
  end
  if key ~= '' then
    count = count + 1
    names[count] = 'api_key:' .. key
  end
  return names
end

-- Those of them that have a budget.
local function scopes(user, project, key)
  local found = {}
  if marked('b') then
    local names = people(user, project, key)
    local budgets = command('HMGET', BUDGETS, unpack(names))
    for i = 1, #names do
      if budgets[i] then
        found[#found + 1] = names[i]
      end
    end
  end
  return found
end

-- What entries stand for: every script that changes one changes these three with it.
local function move(from, to)
  if from == '' then
    for slice, amount in gmatch(to, PART) do
      add(USED, slice, amount)
    end
    return
  end
  local moved = {}
  for slice, amount in gmatch(to, PART) do
    moved[slice] = (moved[slice] or 0) + amount
  end
  for slice, amount in gmatch(from, PART) do
    moved[slice] = (moved[slice] or 0) - amount
  end
  for slice, amount in pairs(moved) do
    add(USED, slice, text(amount))
  end
end

local function charge(names, amount)
  for i = 1, #names do
    add(FLIGHT, names[i], amount)
  end
end

-- Only a held entry is a lease: it goes with the entry's end, its sweeping and its removal alike. A customer's hold,
-- which ends at a time of its own, is no running call.
local function lease(user, expires, step)
  if expires ~= '' then
    return
  end
  if marked('n') then
    add(FLIGHT, 'open', step)
  end
  if user ~= '' and marked('m') then
    add(FLIGHT, 'open:' .. user, step)
  end
end
