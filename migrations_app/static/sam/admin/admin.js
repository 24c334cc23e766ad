// What Unfold's pages keep in attributes as code, as components: SAM's policy lets no text become code.
// Alpine's build for strict policies ("CSP build") calls names that are registered here, nothing global.

document.addEventListener("alpine:init", () => {
  const Alpine = window.Alpine;
  for (const name of ["theme", "searchForm", "searchDropdown", "searchCommand"]) {
    if (typeof window[name] === "function") Alpine.data(name, window[name]);
  }
  Alpine.data("adminPage", (firstTab) => ({
    activeTab: firstTab ? window.getCurrentTab() || firstTab : "",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: localStorage.getItem("sidebarDesktopOpen") !== "0",
    // The form's address, which Unfold composes of these two.
    window: { location: { pathname: location.pathname, search: location.search } },
    init() {
      this.$watch("sidebarDesktopOpen", (open) =>
        localStorage.setItem("sidebarDesktopOpen", open ? "1" : "0"),
      );
    },
    toggleSidebar() {
      if (window.matchMedia("(min-width: 80rem)").matches) this.sidebarDesktopOpen = !this.sidebarDesktopOpen;
      else this.sidebarMobileOpen = !this.sidebarMobileOpen;
    },
  }));
});
