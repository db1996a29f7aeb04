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

  // In the blind test's ballot, and nowhere else, 1 to 4 press the buttons that vote.
  document.addEventListener("keydown", (event) => {
    const ballot = event.target.closest?.(".ballot");
    if (!ballot || event.ctrlKey || event.altKey || event.metaKey || event.repeat || !/^[1-4]$/.test(event.key)) return;
    ballot.querySelectorAll(".votes button")[event.key - 1].click();
  });
}
