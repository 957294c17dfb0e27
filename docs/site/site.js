// Mends what axe-core finds in the theme: headings of the menu without a level, a landmark without a name, a page of search without a title,
// code that keys cannot scroll.
document.addEventListener("DOMContentLoaded", () => {
  for (const heading of document.querySelectorAll("[role='heading']:not([aria-level])")) heading.setAttribute("aria-level", "2");
  document.querySelector("aside.sidebar-drawer")?.setAttribute("aria-label", "Documents");
  document.querySelector("aside.toc-drawer")?.setAttribute("aria-label", "On this page");
  if (!document.querySelector("h1")) document.querySelector("article")?.prepend(Object.assign(document.createElement("h1"), { textContent: "Search" }));
  const reach = () => {
    for (const code of document.querySelectorAll("pre, .table-wrapper")) {
      if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
      else code.removeAttribute("tabindex");
    }
  };
  reach();
  addEventListener("resize", reach);
});
