// Tells the server the reader's time zone, for the times that it writes itself.

const COOKIE = "sam-zone";
const YEAR = 31536000;

export function keepZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || document.cookie.includes(`${COOKIE}=${zone}`)) return;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${COOKIE}=${zone}; path=/; max-age=${YEAR}; samesite=lax${secure}`;
}
