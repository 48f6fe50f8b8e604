// Filters of the ranking. The state lives in the address (#track=…&backend=…&task=…), so a view can be shared.
"use strict";
(() => {
  const form = document.querySelector("form.filters");
  if (!form) return;
  const names = ["track", "backend", "task"];
  const boards = [...document.querySelectorAll("section.board")];

  const fromAddress = () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    for (const name of names) {
      const select = form.elements[name];
      const value = wanted.get(name) ?? "";
      select.value = [...select.options].some((option) => option.value === value) ? value : "";
    }
  };

  const toAddress = () => {
    const chosen = new URLSearchParams();
    for (const name of names) if (form.elements[name].value) chosen.set(name, form.elements[name].value);
    const hash = chosen.toString();
    history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
  };

  const show = () => {
    const [track, backend, task] = names.map((name) => form.elements[name].value);
    let methods = 0;
    let shown = 0;
    for (const board of boards) {
      const fits =
        (!track || board.dataset.track === track) &&
        (!backend || board.dataset.backend === backend) &&
        (!task || board.dataset.tasks.split(" ").includes(task));
      board.hidden = !fits;
      for (const table of board.querySelectorAll("[data-measure]")) {
        table.hidden = table.dataset.measure !== (task || "mean");
        if (fits && !table.hidden) methods += table.querySelectorAll("tbody tr").length;
      }
      shown += fits;
    }
    const count = (number, name) => `${number} ${name}${number === 1 ? "" : "s"}`;
    form.querySelector("output").value = shown ? `${count(methods, "method")} on ${count(shown, "board")}` : "nothing fits";
  };

  const changed = () => {
    toAddress();
    show();
  };
  form.addEventListener("change", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(changed));
  addEventListener("hashchange", () => {
    fromAddress();
    show();
  });
  fromAddress();
  show();
})();
