// -- the page --------------------------------------------------------------------------------------------------

async function main() {
  const page = document.getElementById("page");
  const data = await block("main");
  for (const run of data.runs) run.place = Object.fromEntries(run.problems.map((problem, i) => [problem.id, i]));
  const overview = el("div", {}, el("section", {}, el("h2", {}, "Accuracy against budget"), curves(data)), data.comparison ? comparison(data) : null, data.gains.length ? gains(data) : null, runs(data), problems(data));
  async function route() {
    const at = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    if (!at.problem) page.replaceChildren(overview);
    else { page.replaceChildren(await problemView(data, at)); scrollTo(0, 0); page.querySelector(".list")?.focus(); }
    page.setAttribute("aria-busy", "false");
  }
  addEventListener("hashchange", route);
  addEventListener("keydown", (event) => { if (event.key === "Escape" && location.hash.length > 1) location.hash = ""; });
  await route();
}

main().catch((error) => { document.getElementById("page").textContent = `This report cannot be shown here: ${error.message}`; });
