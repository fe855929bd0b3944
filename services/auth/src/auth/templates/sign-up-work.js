// The work that a sign-up has to bring: a number that makes the SHA-256 of `challenge.number` begin with so many zero bits.
// It begins with the page, so that it is done before somebody has typed; the form waits for it.
"use strict";

const AT_ONCE = 256;
const form = document.querySelector("form[data-work]");
const told = form.querySelector("[data-told]");

function zeroBits(digest) {
  const whole = digest.findIndex((byte) => byte !== 0);
  return whole < 0 ? 8 * digest.length : 8 * whole + Math.clz32(digest[whole]) - 24;
}

async function solved(challenge, bits) {
  const encoder = new TextEncoder();
  for (let first = 0; ; first += AT_ONCE) {
    const numbers = Array.from({ length: AT_ONCE }, (_, step) => first + step);
    const digests = await Promise.all(
      numbers.map((number) => crypto.subtle.digest("SHA-256", encoder.encode(`${challenge}.${number}`))),
    );
    const found = digests.findIndex((digest) => zeroBits(new Uint8Array(digest)) >= bits);
    if (found >= 0) {
      return `${challenge}.${first + found}`;
    }
  }
}

const work = solved(form.dataset.work, Number(form.dataset.bits));

async function send(event) {
  event.preventDefault();
  told.hidden = false;
  try {
    form.elements.proof.value = await work;
    form.submit();
  } catch (error) {
    told.textContent = `This browser cannot do it here (${error.name}).`;
  }
}

form.addEventListener("submit", send);
