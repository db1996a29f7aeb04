// What the page does in the browser by itself. Gradio runs this once, when the page is there.
() => {
  const portuguese = () => document.documentElement.lang.startsWith("pt");

  const rename = () => {
    // Gradio leaves the names of tabs that nobody opened yet as they were.
    const { en, pt } = JSON.parse(document.querySelector(".masthead").dataset.tabs);
    const [from, to] = portuguese() ? [en, pt] : [pt, en];
    for (const tab of document.querySelectorAll(".tab-wrapper button")) {
      const place = from.indexOf(tab.textContent.trim());
      if (place >= 0) [...tab.childNodes].find((node) => node.data?.trim()).data = to[place];
    }
  };

  // Gradio's texts follow the browser's language; its own function changes it afterwards, and with it <html lang>,
  // after which page.css shows our texts.
  const speak = async (language) => {
    const core = performance.getEntriesByType("resource").map((entry) => entry.name).find((name) => /\/core-[\w-]+\.js$/.test(name));
    const { changeLocale } = core ? await import(core) : {};
    changeLocale?.(language);
    document.documentElement.lang = language;
    rename();
  };

  const remembered = () => {
    try { return localStorage.getItem("language"); } catch { return null; }
  };
  const remember = (language) => {
    try { localStorage.setItem("language", language); } catch { /* the browser keeps nothing: then it is asked again */ }
  };

  const wanted = new URLSearchParams(location.search).get("lang") || remembered() || navigator.language;
  if (wanted.startsWith("pt") !== portuguese()) speak(wanted.startsWith("pt") ? "pt-BR" : "en");

  // Those for which a phone has no room go to a menu, and are written anew there.
  const row = document.querySelector(".tab-wrapper");
  if (row) new MutationObserver(rename).observe(row, { childList: true, subtree: true });

  // A file that the server would refuse is refused before it is sent, and in the page's language.
  document.addEventListener("change", (event) => {
    const limit = window.gradio_config?.max_file_size;
    const row = event.target.type === "file" && event.target.closest(".controls");
    if (!row || !limit) return;
    const large = [...event.target.files].some((file) => file.size > limit);
    const [told, refused] = row.querySelectorAll("p.hint");
    [told.hidden, refused.hidden] = [large, !large];
    if (!large) return;
    event.stopImmediatePropagation();
    event.target.value = "";
  }, true);

  document.addEventListener("click", (event) => {
    if (!event.target.closest(".language")) return;
    const language = portuguese() ? "en" : "pt-BR";
    remember(language);
    speak(language);
  });

  // What a button with data-copy names is copied, or marked where the browser keeps the clipboard to itself.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const code = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      return getSelection().selectAllChildren(code);
    }
    const status = button.parentElement.querySelector("[role=status]");
    button.classList.add("copied");
    status?.replaceChildren(...button.querySelector(".done").cloneNode(true).childNodes);
    setTimeout(() => { button.classList.remove("copied"); status?.replaceChildren(); }, 2000);
  });

  // Where a visitor stands in the line, gradio knows as "queue: 2/3" beside the part that waits.
  setInterval(() => {
    for (const told of document.querySelectorAll(".queued")) {
      const text = told.closest(".block, .html-container")?.parentElement.querySelector(".progress-text")?.textContent;
      const place = text?.match(/queue: (\d+)\//)?.[1];
      told.hidden = !place;
      for (const number of place ? told.querySelectorAll(".place") : []) {
        if (number.textContent !== place) number.textContent = place;
      }
    }
  }, 250);

  // --- the conversation ---

  const box = () => document.querySelector(".composer .question textarea");
  const busy = () => document.querySelector('.stage [aria-busy="true"]');
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const mouse = matchMedia("(pointer: fine)"); // where there is none, a focused box opens a keyboard over the answers

  const copied = async (text) => {
    try { await navigator.clipboard.writeText(text); return; } catch { /* not allowed here: the old way */ }
    const area = Object.assign(document.createElement("textarea"), {value: text, className: "spoken-aside"});
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-take]");
    if (button) {
      const link = new URL(location.pathname, location.href);
      link.searchParams.set("q", button.closest("[data-asked]").dataset.asked);
      await copied(button.dataset.take === "link" ? link.href : button.closest(".card").querySelector(".words").textContent);
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1600);
      button.focus();
    }
    if (mouse.matches && event.target.closest(".asking button, .examples button, [data-event=edit], [data-event=undo]")) box()?.focus();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && busy()) document.querySelector(".asking button.stop:enabled")?.click();
  });

  // A question that was just asked comes to the top of the window, and what was asked about an answer into sight.
  const show = (element, block) => element.scrollIntoView({block, behavior: calm.matches ? "auto" : "smooth"});
  const follow = () => {
    const [live, changes] = [document.querySelector(".live"), document.querySelector(".stage .changes")];
    if (!live || !changes) return setTimeout(follow, 100);
    let writing = false, shown = "";
    new MutationObserver(() => {
      const now = Boolean(live.querySelector('[aria-busy="true"]'));
      if (now && !writing) show(live, "start");
      writing = now;
    }).observe(live, {subtree: true, childList: true, attributes: true, attributeFilter: ["aria-busy"]});
    new MutationObserver(() => {
      const now = changes.querySelector(".changed")?.getAttribute("aria-busy") ?? "";
      if (now && now !== shown) show(changes, "start");
      shown = now;
    }).observe(changes, {subtree: true, childList: true, attributes: true, attributeFilter: ["aria-busy"]});
  };
  follow();

  // A link that shares a question asks it, as if it had been typed.
  const shared = new URLSearchParams(location.search).get("q")?.trim();
  const askShared = (tries) => {
    const ask = document.querySelector(".asking button.ask:enabled");
    if (!box() || !ask) return tries && setTimeout(askShared, 100, tries - 1);
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box(), shared);
    box().dispatchEvent(new Event("input", {bubbles: true}));
    if (shared.length <= Number(document.querySelector(".keys").dataset.limit)) setTimeout(() => ask.click(), 50);
  };
  if (shared) askShared(100);

  // In the blind test's ballot, and nowhere else, 1 to 4 press the buttons that vote.
  document.addEventListener("keydown", (event) => {
    const ballot = event.target.closest?.(".ballot");
    if (!ballot || event.ctrlKey || event.altKey || event.metaKey || event.repeat || !/^[1-4]$/.test(event.key)) return;
    ballot.querySelectorAll(".votes button")[event.key - 1].click();
  });
}
