"""For the person who runs the emulator: status page, `/_emu/…`, scenario files."""
