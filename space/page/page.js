// What the page does in the browser itself. Gradio runs this once, when the page has loaded.
() => {
  const portuguese = () => document.documentElement.lang.startsWith("pt");

  const rename = () => {
    // Gradio does not rename tabs that were not opened yet.
    const { en, pt } = JSON.parse(document.querySelector(".masthead").dataset.tabs);
    const [from, to] = portuguese() ? [en, pt] : [pt, en];
    for (const tab of document.querySelectorAll(".tab-wrapper button")) {
      const place = from.indexOf(tab.textContent.trim());
      if (place >= 0) [...tab.childNodes].find((node) => node.data?.trim()).data = to[place];
    }
  };

  // Gradio's texts follow the browser's language. Its own function changes them later, and with
  // <html lang> page.css shows ours in that language.
  const setLanguage = async (language) => {
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
    try { localStorage.setItem("language", language); } catch { /* the browser stores nothing */ }
  };

  const wanted = new URLSearchParams(location.search).get("lang") || remembered() || navigator.language;
  if (wanted.startsWith("pt") !== portuguese()) setLanguage(wanted.startsWith("pt") ? "pt-BR" : "en");

  // On a phone some tabs move into a menu, where gradio writes their names again.
  const row = document.querySelector(".tab-wrapper");
  if (row) new MutationObserver(rename).observe(row, { childList: true, subtree: true });

  // A file that is too large for the server is refused before it is sent, in the page's language.
  document.addEventListener("change", (event) => {
    const limit = window.gradio_config?.max_file_size;
    const row = event.target.type === "file" && event.target.closest(".controls");
    if (!row || !limit) return;
    const large = [...event.target.files].some((file) => file.size > limit);
    const [note, refused] = row.querySelectorAll("p.hint");
    [note.hidden, refused.hidden] = [large, !large];
    if (!large) return;
    event.stopImmediatePropagation();
    event.target.value = "";
  }, true);

  document.addEventListener("click", (event) => {
    if (!event.target.closest(".language")) return;
    const language = portuguese() ? "en" : "pt-BR";
    remember(language);
    setLanguage(language);
  });

  // A button with data-copy copies the element it names, or selects it if the clipboard is closed.
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

  // Gradio writes a visitor's place in the queue as "queue: 2/3" beside the part that waits.
  setInterval(() => {
    for (const queued of document.querySelectorAll(".queued")) {
      const text = queued.closest(".block, .html-container")?.parentElement.querySelector(".progress-text")?.textContent;
      const place = text?.match(/queue: (\d+)\//)?.[1];
      queued.hidden = !place;
      for (const number of place ? queued.querySelectorAll(".place") : []) {
        if (number.textContent !== place) number.textContent = place;
      }
    }
  }, 250);

  // --- the conversation ---

  const box = () => document.querySelector(".composer .question textarea");
  const busy = () => document.querySelector('.stage [aria-busy="true"]');
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const mouse = matchMedia("(pointer: fine)"); // on a touch screen a focused box opens a keyboard over the answers

  const copyText = async (text) => {
    try { await navigator.clipboard.writeText(text); return; } catch { /* not allowed here: use execCommand */ }
    const area = Object.assign(document.createElement("textarea"), {value: text, className: "spoken-aside"});
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  // The answer as the model wrote it: without what the fact check says beside it.
  const answerOf = (button) => {
    const shown = button.closest(".card").querySelector(".words");
    if (shown.dataset.written) return shown.dataset.written; // with its Markdown
    const words = shown.cloneNode(true);
    for (const added of words.querySelectorAll(".beside, .spoken, .rests")) added.remove();
    return words.textContent;
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-take]");
    if (button) {
      const link = new URL(location.pathname, location.href);
      const question = button.closest("[data-asked]")?.dataset.asked;
      if (question) link.searchParams.set("q", question);
      await copyText(button.dataset.take === "link" ? link.href : answerOf(button));
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1600);
      button.focus();
    }
    if (mouse.matches && event.target.closest(".asking button, .examples button, [data-event=edit], [data-event=undo]")) box()?.focus();
  });

  // A citation opens its record below the answer, and closes it again.
  document.addEventListener("click", (event) => {
    const cite = event.target.closest("button.cite");
    if (!cite) return;
    const answer = cite.closest(".answer"), wasOpen = cite.getAttribute("aria-expanded") === "true";
    answer.querySelector(".opened")?.remove();
    for (const each of answer.querySelectorAll("button.cite")) each.setAttribute("aria-expanded", false);
    const turn = cite.closest(".turn");
    const shelf = turn.querySelector(".shelf") ?? document.querySelector(".now .shelf");
    const record = shelf?.querySelectorAll(".records > li")[cite.dataset.record - 1];
    if (wasOpen || !record) return;
    const opened = Object.assign(document.createElement("div"), {className: "opened"});
    const card = Object.assign(document.createElement("div"), {className: record.className, innerHTML: record.innerHTML});
    for (const fold of card.querySelectorAll("details")) fold.open = true;
    opened.append(card);
    answer.querySelector(".words").after(opened);
    for (const each of answer.querySelectorAll(`button.cite[data-record="${cite.dataset.record}"]`)) each.setAttribute("aria-expanded", true);
  });

  document.addEventListener("keydown", (event) => {
    const opened = event.key === "Escape" && event.target.closest?.(".answer")?.querySelector("button.cite[aria-expanded=true]");
    if (opened) opened.click();
    if (event.key !== "Escape") return;
    if (busy()) document.querySelector(".asking button.stop:enabled")?.click();
    else if (event.target.closest?.(".composer")) document.querySelector(".note [data-event=undo]")?.click();
  });

  // A question that was just asked scrolls to the top, and an explanation into view.
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

  // On a small screen the summaries, which stand below the text, come into view.
  const followSummaries = () => {
    const pair = document.querySelector(".summaries");
    if (!pair) return setTimeout(followSummaries, 500);
    let writing = false;
    new MutationObserver(() => {
      const now = Boolean(pair.querySelector('[aria-busy="true"]'));
      if (now && !writing && pair.getBoundingClientRect().top > innerHeight * 0.6) show(pair, "start");
      writing = now;
    }).observe(pair, {subtree: true, childList: true, attributes: true, attributeFilter: ["aria-busy"]});
  };
  followSummaries();

  // The answer's other version replaces the button that asked for it: the focus stays on its like.
  document.addEventListener("click", (event) => {
    const way = event.target.closest?.("[data-way]")?.dataset.way;
    if (!way) return;
    const pressed = event.target.closest("[data-way]");
    const wait = (tries) => {
      if (pressed.isConnected) return tries && setTimeout(wait, 50, tries - 1);
      const [same, any] = [`.live [data-way=${way}]:enabled`, ".live [data-way]:enabled"];
      (document.querySelector(same) ?? document.querySelector(any))?.focus();
    };
    wait(60);
  });

  // A link with a question (?q=...) asks it, as if it had been typed; so does "Did you mean ...?".
  const shared = new URLSearchParams(location.search).get("q")?.trim();
  // A reloaded page has its answer already.
  const isAnswered = (question) => {
    try {
      const key = Object.keys(sessionStorage).find((name) => /^shelftalk\.\d+\.conversation$/.test(name));
      return JSON.parse(sessionStorage.getItem(key)).turns.some((turn) => turn.question === question);
    } catch { return false; }
  };
  const askText = (text, tries) => {
    const ask = document.querySelector(".asking button.ask:enabled");
    if (!box() || !ask) return tries && setTimeout(askText, 100, text, tries - 1);
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box(), text);
    box().dispatchEvent(new Event("input", {bubbles: true}));
    if (text.length <= Number(document.querySelector(".keys").dataset.limit)) setTimeout(() => ask.click(), 50);
  };
  if (shared && !isAnswered(shared)) askText(shared, 100);

  // What is typed is stored as a draft, which a reloaded page has again.
  const draftKey = () => document.querySelector(".keys")?.dataset.draft;
  document.addEventListener("input", (event) => {
    if (event.target !== box()) return;
    try {
      event.target.value ? sessionStorage.setItem(draftKey(), event.target.value) : sessionStorage.removeItem(draftKey());
    } catch { /* the browser stores nothing */ }
  }, true);
  const bringDraft = (tries) => {
    if (!box() || !draftKey()) return tries && setTimeout(bringDraft, 100, tries - 1);
    let draft = "";
    try { draft = sessionStorage.getItem(draftKey()) ?? ""; } catch { /* none */ }
    if (!draft || box().value) return;
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box(), draft);
    box().dispatchEvent(new Event("input", {bubbles: true}));
  };
  if (!shared || isAnswered(shared)) bringDraft(100);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-ask]");
    if (button) askText(button.dataset.ask, 0);
  });

  // A link to a source goes there and leaves the address alone, which is the tab's.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#source-"]');
    if (!link) return;
    event.preventDefault();
    document.querySelector(link.getAttribute("href"))?.focus();
  });

  // --- addresses of the tabs: #ask, #summarize, ... ---

  const tabs = JSON.parse(document.querySelector(".masthead").dataset.tabs);
  const tabOf = (button) => {
    const name = button.textContent.trim();
    return tabs.ids[Math.max(tabs.en.indexOf(name), tabs.pt.indexOf(name))];
  };
  const isNamed = (id) => (button) => tabOf(button) === id;
  const openTab = async (id) => {
    const [row, menu] = [".tab-wrapper [role=tab]", ".overflow-menu > button"];
    let button = [...document.querySelectorAll(row)].find(isNamed(id));
    if (!button && document.querySelector(menu)) {
      document.querySelector(menu).click(); // a tab without room in the row
      await new Promise((resolve) => setTimeout(resolve, 50));
      button = [...document.querySelectorAll(".overflow-dropdown button")].find(isNamed(id));
    }
    button?.click();
    return Boolean(button);
  };
  const addressed = () => tabs.ids.find((id) => `#${id}` === location.hash);
  let opening = false; // by its address, which then stays
  const openAddressed = async (tries) => {
    const id = addressed() ?? (location.hash ? null : tabs.ids[0]);
    if (!id) return; // an address that names no tab
    opening = true;
    const opened = await openTab(id);
    opening = false;
    if (!opened && tries) setTimeout(openAddressed, 100, tries - 1);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".tab-wrapper [role=tab], .overflow-dropdown button");
    const id = button && tabOf(button);
    if (id && !opening && `#${id}` !== location.hash) history.pushState(null, "", `#${id}`);
  }, true);
  addEventListener("popstate", () => openAddressed(0));
  if (addressed()) openAddressed(100);

  // Gradio's own messages, in the page's words and language.
  const messages = Object.entries(JSON.parse(document.querySelector(".masthead").dataset.messages));
  setInterval(() => {
    for (const part of document.querySelectorAll(".toast-title, .toast-text")) {
      const found = messages.find(([start]) => part.textContent.trim().startsWith(start));
      if (found) part.textContent = found[1][portuguese() ? "pt" : "en"];
    }
  }, 250);

  // In the blind test's ballot, and nowhere else, the keys 1 to 4 vote.
  document.addEventListener("keydown", (event) => {
    const ballot = event.target.closest?.(".ballot");
    if (!ballot || event.ctrlKey || event.altKey || event.metaKey || event.repeat || !/^[1-4]$/.test(event.key)) return;
    ballot.querySelectorAll(".votes button")[event.key - 1].click();
  });
}
