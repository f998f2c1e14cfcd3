package cli

// ttyPath is the person's console, whatever stdin is.
const ttyPath = "CONIN$"
