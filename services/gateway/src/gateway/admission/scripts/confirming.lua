-- How long and how many ids are remembered as confirmed.
local CONFIRMED_FOR_MS = 3600000
local CONFIRMED_AT_MOST = 20000
