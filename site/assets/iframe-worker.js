// The search works in a worker, and a page that is opened from a file may start none: there a hidden frame does it.
// The theme looks for this file by its name, and would else load one from elsewhere.

class FrameWorker extends EventTarget {
  constructor(address) {
    super();
    this.frame = document.body.appendChild(Object.assign(document.createElement("iframe"), { hidden: true }));
    const inside = this.frame.contentWindow;
    inside.document.open();
    inside.document.write("<!doctype html><body>");
    inside.document.close();

    // what the worker's script finds around itself, as in a worker; only that other scripts come in their own time
    inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
    inside.importScripts = async (...addresses) => { for (const one of addresses) await this.load(one); };
    this.ready = this.load(address);
  }

  load(address) {
    const page = this.frame.contentDocument;
    return new Promise((done, failed) => {
      const script = Object.assign(page.createElement("script"), { src: address, onload: done, onerror: failed });
      page.body.append(script);
    });
  }

  postMessage(data) {
    const message = new MessageEvent("message", { data: structuredClone(data) });
    this.ready.then(() => this.frame.contentWindow.dispatchEvent(message));
  }

  terminate() { this.frame.remove(); }
}

if (location.protocol === "file:") {
  window.Worker = FrameWorker;
  window.IFrameWorker = FrameWorker; // by this name the theme's search knows that it is in a frame
}
