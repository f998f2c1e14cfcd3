package cli

// forbidCores does nothing: Windows writes no core dumps unless an administrator asks for them.
func forbidCores() (allow func()) { return func() {} }
