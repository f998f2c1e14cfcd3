package template

import (
	"fmt"
	"reflect"
	"strconv"
)

// indirect returns what interfaces and pointers lead to; the zero Value for nil.
func indirect(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v
}

// fields follows names of fields, or keys of a map of strings.
func fields(v reflect.Value, names []string) (reflect.Value, error) {
	for _, name := range names {
		v = indirect(v)
		switch {
		case v.Kind() == reflect.Struct:
			v = v.FieldByName(name)
		case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
			v = v.MapIndex(reflect.ValueOf(name))
		default:
			v = reflect.Value{}
		}
		if !v.IsValid() {
			return v, fmt.Errorf("there is no field %s", name)
		}
	}
	return v, nil
}

// isTrue reports whether a value is not the zero value of its type, and not empty.
func isTrue(v reflect.Value) bool {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Invalid:
		return false
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() > 0
	case reflect.Struct:
		return true
	}
	return !v.IsZero()
}

// textOf returns a value as a page shows it.
func textOf(v reflect.Value) (string, error) {
	v = indirect(v)
	switch {
	case !v.IsValid():
		return "", nil
	case v.Kind() == reflect.String:
		return v.String(), nil
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), nil
	}
	return "", fmt.Errorf("a page can't show a %s", v.Type())
}
