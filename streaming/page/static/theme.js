// Dark or light: as the system says, until the switch says otherwise; that is remembered where the browser allows it.

const KEY = "maskcast-theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden
  }
}

export function theme(button) {
  let chosen = remembered();
  const show = () => {
    const now = chosen || (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = now;
    button.textContent = now === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `${button.textContent} colours`);
  };
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // It lasts until the page is closed.
    }
    show();
  });
  if (dark.addEventListener) dark.addEventListener("change", show);
  show();
}
