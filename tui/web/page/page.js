// Cells are measured when the terminal is made: by then the font has to be there. The address of the
// WebSocket is that of the page, whatever name or tunnel leads to it.
(() => {
  const open = window.onload;
  window.onload = async (event) => {
    const terminal = document.getElementById("terminal");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    terminal.dataset.sessionWebsocketUrl = `${scheme}//${location.host}/ws`;
    const faces = ["16px", "bold 16px", "italic 16px"].map((face) => `${face} "Roboto Mono"`);
    await Promise.allSettled(faces.map((face) => document.fonts.load(face)));
    open(event);
    terminal.querySelector("textarea")?.focus();
  };
})();
