// Passkeys. A form asks the browser for one and sends what it answers:
//
//   <form data-passkey="create|get" data-options="ID">   what the server wants to know, as JSON of a <script>
//   <form data-passkey="get" data-options-from="URL">    or asked for when the button is pressed
//     <input type="hidden" name="credential">             filled in here
//     <input type="checkbox" name="passwordless">         at "create": whether it shall open the account alone
//     <p data-passkey-trouble hidden>                     says what went wrong
//     <button hidden>                                     shown where passkeys can be used at all

const NO_ADDRESS = "A passkey belongs to a name: open SAM by one, such as localhost, not by a number such as 127.0.0.1.";
const NOT_SECURE = "A passkey needs an encrypted connection (https).";
const NOT_USED = "No passkey was used. Try again, or take another way.";
const TAKEN = "This device is one of your passkeys already.";
const BINARY = new Set(["challenge", "id"]);

function toBytes(text) {
  const padded = text.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(padded), (letter) => letter.charCodeAt(0));
}

function toText(buffer) {
  const letters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// What JSON cannot hold is base64 there: the challenge, and the ids of people and of passkeys.
function readOptions({ publicKey }) {
  const read = (part) => Object.fromEntries(
    Object.entries(part).map(([name, value]) => [name, BINARY.has(name) ? toBytes(value) : value]),
  );
  const options = { ...publicKey, challenge: toBytes(publicKey.challenge) };
  if (publicKey.user) options.user = read(publicKey.user);
  ["allowCredentials", "excludeCredentials"].forEach((name) => {
    if (publicKey[name]) options[name] = publicKey[name].map(read);
  });
  return options;
}

function writeCredential(credential) {
  const said = credential.response;
  const response = {};
  ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"].forEach((name) => {
    if (said[name]) response[name] = toText(said[name]);
  });
  if (said.getTransports) response.transports = said.getTransports();
  return {
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    response,
    clientExtensionResults: credential.getClientExtensionResults(),
  };
}

async function findOptions(form) {
  if (form.dataset.options) return JSON.parse(document.getElementById(form.dataset.options).textContent);
  const answer = await fetch(form.dataset.optionsFrom, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(NOT_USED);
  return (await answer.json()).request_options;
}

async function askBrowser(form) {
  const publicKey = readOptions(await findOptions(form));
  if (form.dataset.passkey === "get") return navigator.credentials.get({ publicKey });
  if (form.elements.passwordless?.checked) {
    const alone = { residentKey: "required", requireResidentKey: true, userVerification: "required" };
    publicKey.authenticatorSelection = { ...publicKey.authenticatorSelection, ...alone };
  }
  return navigator.credentials.create({ publicKey });
}

function tell(form, sentence) {
  const place = form.querySelector("[data-passkey-trouble]");
  place.textContent = sentence;
  place.hidden = !sentence;
}

function whyNot() {
  if (/^[\d.]+$|:/.test(location.hostname)) return NO_ADDRESS;
  return window.PublicKeyCredential ? "" : NOT_SECURE;
}

function start(form) {
  const trouble = whyNot();
  // Who only signs in has other ways there, and is not bothered with why this is none.
  if (trouble && form.dataset.passkey === "create") tell(form, trouble);
  if (trouble) return;
  form.querySelector("button[hidden]").hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell(form, "");
    try {
      form.elements.credential.value = JSON.stringify(writeCredential(await askBrowser(form)));
      form.submit();
    } catch (error) {
      tell(form, error.name === "InvalidStateError" ? TAKEN : NOT_USED);
    }
  });
}

document.querySelectorAll("form[data-passkey]").forEach(start);
