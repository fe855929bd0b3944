// Passkeys on pages of auth: a form with `data-passkey` asks the browser for a credential and sends it as its field
// `credential`. Options come with the form, so that nothing is fetched.
"use strict";

const forms = document.querySelectorAll("form[data-passkey]");

async function credentialFor(form) {
  const options = JSON.parse(form.dataset.options);
  if (form.dataset.passkey === "create") {
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
}

async function answer(form, event) {
  event.preventDefault();
  const told = form.querySelector("[data-told]");
  told.hidden = true;
  try {
    const credential = await credentialFor(form);
    form.elements.credential.value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    told.textContent = `That did not work (${error.name}). Try again, or sign in another way.`;
    told.hidden = false;
  }
}

for (const form of forms) {
  if (window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON) {
    form.querySelector("button").disabled = false;
    form.addEventListener("submit", (event) => answer(form, event));
  } else {
    form.querySelector("[data-told]").hidden = false;
  }
}
