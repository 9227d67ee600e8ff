// The font has to be there when the terminal measures its cells; the address of the WebSocket is that
// of the page, whatever name or tunnel leads to it; and keys go to the dashboard from the first picture on.
(() => {
  const open = window.onload;
  window.onload = async (event) => {
    const terminal = document.getElementById("terminal");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    terminal.dataset.sessionWebsocketUrl = `${scheme}//${location.host}/ws`;
    const faces = ["16px", "bold 16px", "italic 16px"].map((face) => `${face} "Roboto Mono"`);
    await Promise.allSettled(faces.map((face) => document.fonts.load(face)));
    new MutationObserver((_, observer) => {
      if (!document.body.classList.contains("-first-byte")) return;
      observer.disconnect();
      terminal.querySelector("textarea")?.focus();
    }).observe(document.body, { attributeFilter: ["class"] });
    open(event);
  };
})();
