// Package template draws HTML from the part of html/template's language that loopkey's pages are written in, and makes
// the same of it: fields, variables, if, with, range, template and block, the functions eq, ne, and, not, and functions
// of the caller.
//
// A value is escaped for where it stands: in text, in an attribute between double quotes, or as the URL of a link, of
// which only http, https, mailto and relative ones stay. Where a value could be anything else (in a script, a style, an
// event handler, outside of quotes), the template is refused when it is parsed.
//
// html/template itself costs every run of loopkey 81,000 instructions before main, and two of fourteen megabytes of the
// binary: it calls methods by names that only the template knows, so the linker keeps every exported method there is.
// The tests have it as the judge.
package template

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"text/template/parse"
)

// HTML is a value that is shown in text as it is. It must be made of nothing but our own markup and escaped text.
type HTML string

// CSS is a value that is a style sheet of our own.
type CSS string

// A Func is a function that templates call by its name, with one value or none.
type Func func(arg string) (any, error)

// A Source is the text of a file with templates.
type Source struct{ Name, Text string }

// A Template is templates by their names. It is safe for concurrent use.
type Template struct{ programs map[string]program }

// Parse returns the templates of some names, which sources define. A definition takes the place of an earlier one of
// the same name. Each must be a whole page or fragment: it begins and ends in text.
func Parse(names []string, funcs map[string]Func, sources ...Source) (*Template, error) {
	known := map[string]any{"eq": true, "ne": true, "and": true, "not": true}
	for name := range funcs {
		known[name] = true
	}
	c := compiler{funcs: funcs, trees: map[string]*parse.Tree{}}
	for _, s := range sources {
		trees, err := parse.Parse(s.Name, s.Text, "", "", known)
		if err != nil {
			return nil, err
		}
		for name, tree := range trees {
			if old := c.trees[name]; old == nil || !parse.IsEmptyTree(tree.Root) {
				c.trees[name] = tree
			}
		}
	}
	t := &Template{map[string]program{}}
	for _, name := range names {
		p, end, err := c.call(name, place{})
		if err == nil && end != (place{}) {
			err = errors.New("it ends within a tag")
		}
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
		t.programs[name] = p
	}
	return t, nil
}

// Append draws a template with data after what dst has.
func (t *Template) Append(dst []byte, name string, data any) ([]byte, error) {
	p, ok := t.programs[name]
	if !ok {
		return dst, fmt.Errorf("template %s: there is none", name)
	}
	r := &run{out: dst, vars: []variable{{"$", reflect.ValueOf(data)}}}
	err := p(r, reflect.ValueOf(data))
	return r.out, err
}

// A program draws a piece of a template with the value that is its dot.
type program func(r *run, dot reflect.Value) error

// A run draws one page.
type run struct {
	out  []byte
	vars []variable // the last of a name counts
}

type variable struct {
	name  string
	value reflect.Value
}

// A compiler makes programs of trees. It follows the markup, so each value has its one place.
type compiler struct {
	funcs map[string]Func
	trees map[string]*parse.Tree
	depth int
}

// call compiles a template of this name for a place.
func (c *compiler) call(name string, at place) (program, place, error) {
	tree := c.trees[name]
	if tree == nil {
		return nil, at, fmt.Errorf("there is no template %q", name)
	}
	if c.depth++; c.depth > 20 {
		return nil, at, fmt.Errorf("template %q calls itself", name)
	}
	defer func() { c.depth-- }()
	return c.list(tree.Root, at)
}

// list compiles what stands one after another.
func (c *compiler) list(list *parse.ListNode, at place) (program, place, error) {
	if list == nil {
		return func(*run, reflect.Value) error { return nil }, at, nil
	}
	var programs []program
	for _, node := range list.Nodes {
		p, after, err := c.node(node, at)
		if err != nil {
			return nil, at, err
		}
		programs, at = append(programs, p), after
	}
	return func(r *run, dot reflect.Value) error {
		depth := len(r.vars)
		for _, p := range programs {
			if err := p(r, dot); err != nil {
				return err
			}
		}
		r.vars = r.vars[:depth]
		return nil
	}, at, nil
}

func (c *compiler) node(node parse.Node, at place) (program, place, error) {
	switch n := node.(type) {
	case *parse.TextNode:
		after, err := at.pass(string(n.Text))
		return func(r *run, _ reflect.Value) error {
			r.out = append(r.out, n.Text...)
			return nil
		}, after, err
	case *parse.ActionNode:
		value, err := c.pipe(n.Pipe)
		if err == nil && len(n.Pipe.Decl) > 0 {
			err = errors.New("a variable is set")
		}
		if err != nil {
			return nil, at, err
		}
		put, after, err := at.put()
		return func(r *run, dot reflect.Value) error {
			v, err := value(r, dot)
			if err != nil {
				return err
			}
			r.out, err = put(r.out, v)
			return err
		}, after, err
	case *parse.IfNode:
		return c.branch(&n.BranchNode, at, func(_, dot reflect.Value) reflect.Value { return dot })
	case *parse.WithNode:
		return c.branch(&n.BranchNode, at, func(value, _ reflect.Value) reflect.Value { return value })
	case *parse.RangeNode:
		return c.loop(n, at)
	case *parse.TemplateNode:
		value, err := constant(nil), error(nil)
		if n.Pipe != nil {
			value, err = c.pipe(n.Pipe)
		}
		if err != nil {
			return nil, at, err
		}
		p, after, err := c.call(n.Name, at)
		return func(r *run, dot reflect.Value) error {
			v, err := value(r, dot)
			if err != nil {
				return err
			}
			inner := &run{out: r.out, vars: []variable{{"$", v}}}
			err = p(inner, v)
			r.out = inner.out
			return err
		}, after, err
	}
	return nil, at, fmt.Errorf("%s is not known", node)
}

// branch compiles if and with, which differ in the dot of what they draw.
func (c *compiler) branch(
	n *parse.BranchNode, at place, inner func(value, dot reflect.Value) reflect.Value,
) (program, place, error) {
	value, err := c.pipe(n.Pipe)
	if err == nil && len(n.Pipe.Decl) > 0 {
		err = errors.New("a variable is set")
	}
	if err != nil {
		return nil, at, err
	}
	yes, after, err := c.list(n.List, at)
	if err != nil {
		return nil, at, err
	}
	no, afterNo, err := c.list(n.ElseList, at)
	if err != nil {
		return nil, at, err
	}
	after, err = after.join(afterNo)
	return func(r *run, dot reflect.Value) error {
		v, err := value(r, dot)
		switch {
		case err != nil:
			return err
		case isTrue(v):
			return yes(r, inner(v, dot))
		}
		return no(r, dot)
	}, after, err
}

// loop compiles range over a slice.
func (c *compiler) loop(n *parse.RangeNode, at place) (program, place, error) {
	value, err := c.pipe(n.Pipe)
	if err == nil && n.ElseList != nil {
		err = errors.New("range has an else")
	}
	if err != nil {
		return nil, at, err
	}
	body, after, err := c.list(n.List, at)
	if err != nil {
		return nil, at, err
	}
	after, err = after.join(at)
	return func(r *run, dot reflect.Value) error {
		v, err := value(r, dot)
		if err != nil {
			return err
		}
		v = indirect(v)
		if !v.IsValid() {
			return nil
		}
		if v.Kind() != reflect.Slice {
			return fmt.Errorf("%s is no slice", n.Pipe)
		}
		for i := range v.Len() {
			depth := len(r.vars)
			if d := n.Pipe.Decl; len(d) > 0 {
				r.vars = append(r.vars, variable{d[len(d)-1].Ident[0], v.Index(i)})
				if len(d) > 1 {
					r.vars = append(r.vars, variable{d[0].Ident[0], reflect.ValueOf(i)})
				}
			}
			if err := body(r, v.Index(i)); err != nil {
				return err
			}
			r.vars = r.vars[:depth]
		}
		return nil
	}, after, err
}

// An operand returns a value.
type operand func(r *run, dot reflect.Value) (reflect.Value, error)

// pipe compiles what stands between braces.
func (c *compiler) pipe(p *parse.PipeNode) (operand, error) {
	if p == nil || len(p.Cmds) != 1 {
		return nil, fmt.Errorf("%s is not known", p)
	}
	args := p.Cmds[0].Args
	if name, ok := args[0].(*parse.IdentifierNode); ok {
		return c.function(name.Ident, args[1:])
	}
	if len(args) > 1 {
		return nil, fmt.Errorf("%s is not known", p)
	}
	return c.operand(args[0])
}

// function compiles a call.
func (c *compiler) function(name string, args []parse.Node) (operand, error) {
	var of []operand
	for _, arg := range args {
		o, err := c.operand(arg)
		if err != nil {
			return nil, err
		}
		of = append(of, o)
	}
	call := func(values []reflect.Value) (any, error) {
		arg := ""
		if len(values) > 0 {
			text, err := textOf(values[0])
			if err != nil {
				return nil, err
			}
			arg = text
		}
		return c.funcs[name](arg)
	}
	wants := len(args) <= 1
	switch name {
	case "eq", "ne":
		wants = len(args) == 2
		call = func(values []reflect.Value) (any, error) {
			a, err := textOf(values[0])
			if err != nil {
				return nil, err
			}
			b, err := textOf(values[1])
			return (a == b) == (name == "eq"), err
		}
	case "not":
		wants = len(args) == 1
		call = func(values []reflect.Value) (any, error) { //nolint:unparam // the other functions have errors
			return !isTrue(values[0]), nil
		}
	case "and":
		wants = len(args) == 2
		call = func(values []reflect.Value) (any, error) { //nolint:unparam // the other functions have errors
			return isTrue(values[0]) && isTrue(values[1]), nil
		}
	}
	if !wants {
		return nil, fmt.Errorf("%s has %d arguments", name, len(args))
	}
	return func(r *run, dot reflect.Value) (reflect.Value, error) {
		var values []reflect.Value
		for _, o := range of {
			v, err := o(r, dot)
			if err != nil {
				return v, err
			}
			values = append(values, v)
		}
		v, err := call(values)
		return reflect.ValueOf(v), err
	}, nil
}

// operand compiles one value.
func (c *compiler) operand(node parse.Node) (operand, error) {
	switch n := node.(type) {
	case *parse.DotNode:
		return func(_ *run, dot reflect.Value) (reflect.Value, error) { return dot, nil }, nil
	case *parse.FieldNode:
		return func(_ *run, dot reflect.Value) (reflect.Value, error) { return fields(dot, n.Ident) }, nil
	case *parse.VariableNode:
		return func(r *run, _ reflect.Value) (reflect.Value, error) {
			for _, v := range slices.Backward(r.vars) {
				if v.name == n.Ident[0] {
					return fields(v.value, n.Ident[1:])
				}
			}
			return reflect.Value{}, fmt.Errorf("%s is not set", n)
		}, nil
	case *parse.StringNode:
		return constant(n.Text), nil
	case *parse.NumberNode:
		if n.IsInt {
			return constant(n.Int64), nil
		}
	case *parse.PipeNode:
		return c.pipe(n)
	}
	return nil, fmt.Errorf("%s is not known", node)
}

func constant(value any) operand {
	v := reflect.ValueOf(value)
	return func(*run, reflect.Value) (reflect.Value, error) { return v, nil }
}
