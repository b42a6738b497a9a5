// The conversation: each question stands alone, and says which model answered it.

export class Chat {
  readonly #list: HTMLElement;

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  /** Shows a question; the answer grows by what `ask` hands on. */
  async ask(question: string, who: string, ask: (onToken: (text: string) => void) => Promise<string>): Promise<void> {
    const entry = document.createElement("li");
    const [asked, answer, tag] = [text("p", "asked", question), text("code", "answer", ""), text("span", "tag", who)];
    const line = text("p", "answered", "");
    line.append(answer, tag);
    entry.append(asked, line);
    this.#list.append(entry);
    answer.classList.add("growing");
    try {
      const whole = await ask((piece) => void (answer.textContent += piece));
      answer.textContent = whole.trim() || "(nothing)";
    } finally {
      answer.classList.remove("growing");
    }
  }
}

function text(name: string, kind: string, content: string): HTMLElement {
  const element = document.createElement(name);
  element.className = kind;
  element.textContent = content;
  return element;
}
