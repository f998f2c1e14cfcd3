// Without an assembly file in the package, the compiler refuses auxiliary, whose body is in the runtime.
