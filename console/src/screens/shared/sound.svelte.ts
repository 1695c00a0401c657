// One short sound, off until somebody presses a button: browsers play nothing before.
class Sound {
  #context: AudioContext | undefined;
  #on = $state(false);

  get on(): boolean {
    return this.#on;
  }

  /** Switches it, in answer to a press; the sound is heard once as proof. */
  async toggle(): Promise<void> {
    if (this.#on) {
      this.#on = false;
      return;
    }
    this.#context ??= new AudioContext();
    await this.#context.resume();
    this.#on = true;
    this.play();
  }

  /** Plays two short tones when it is on. */
  play(): void {
    const c = this.#context;
    if (!this.#on || !c) return;
    for (const [i, pitch] of [660, 880].entries()) {
      const tone = c.createOscillator();
      const loud = c.createGain();
      const at = c.currentTime + i * 0.16;
      tone.frequency.value = pitch;
      loud.gain.setValueAtTime(0.0001, at);
      loud.gain.exponentialRampToValueAtTime(0.2, at + 0.02);
      loud.gain.exponentialRampToValueAtTime(0.0001, at + 0.14);
      tone.connect(loud).connect(c.destination);
      tone.start(at);
      tone.stop(at + 0.15);
    }
  }
}

export const sound = new Sound();
