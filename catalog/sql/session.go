package sql

import (
	"slices"
	"strings"

	"ambit"
	"ambit/catalog/sql/grammar"
)

// session reads statements about transactions, settings and messages.
func (r *reader) session(n *grammar.Node) (verdict, bool) {
	switch n.Type {
	case "TransactionStmt":
		return r.transaction(n), true
	case "VariableSetStmt":
		v := verdict{KindSession, "sql.set", n.Text("name")}
		if !harmlessSetting(n) {
			r.database("sql.set", ambit.Irreversible, "changes the setting %s", n.Text("name"))
		}
		return v, true
	case "VariableShowStmt":
		return verdict{KindSession, "sql.show", n.Text("name")}, true
	case "DiscardStmt":
		return verdict{KindSession, "sql.discard", ""}, true
	case "ConstraintsSetStmt":
		return verdict{KindSession, "sql.set", "constraints"}, true
	case "ListenStmt", "UnlistenStmt":
		return verdict{KindListen, "sql.listen", n.Text("conditionname")}, true
	case "NotifyStmt":
		r.database("sql.notify", ambit.Write, "sends a message to others")
		return verdict{KindListen, "sql.notify", n.Text("conditionname")}, true
	case "LockStmt":
		for _, rel := range n.List("relations") {
			at := resolve(rel)
			r.touch("sql.lock", at.write(ambit.Write), at)
		}
		r.say("locks tables")
		return verdict{KindUpkeep, "sql.lock", ""}, true
	}
	return verdict{}, false
}

func (r *reader) transaction(n *grammar.Node) verdict {
	v := verdict{KindTransaction, "sql.transaction", n.Text("savepoint_name")}
	switch n.Enum("kind") {
	case "TRANS_STMT_BEGIN", "TRANS_STMT_START":
		if !harmlessModes(n.List("options")) {
			r.database(v.op, ambit.Irreversible, "begins a transaction that may write")
		}
	case "TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO":
	default: // of a prepared transaction, which outlives the session
		r.database(v.op, ambit.Irreversible, "is about a prepared transaction")
	}
	return v
}

// harmlessModes says whether the modes of a transaction leave its guards alone.
// READ WRITE undoes default_transaction_read_only.
func harmlessModes(options []*grammar.Node) bool {
	for _, o := range options {
		switch o.Text("defname") {
		case "transaction_isolation", "transaction_deferrable":
		case "transaction_read_only":
			if v := o.Node("arg"); !v.Is("A_Const") || v.Node("ival").Int("ival") != 1 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// harmlessSettings change how values look or how a query is planned, for this
// session alone.
func harmlessSettings() []string {
	return []string{"application_name", "bytea_output", "client_min_messages", "datestyle", "extra_float_digits", "intervalstyle", "jit",
		"lc_monetary", "lc_numeric", "lc_time", "default_text_search_config", "timezone", "xmlbinary", "xmloption", "default_transaction_isolation", "transaction_isolation",
		"default_transaction_deferrable", "transaction_deferrable"}
}

// harmlessSetting says whether a SET or RESET is about such a setting, or gives
// a guard the value that it has. What decides how text is read, who one is and
// where names are looked up stays as the gate made it.
func harmlessSetting(n *grammar.Node) bool {
	name := strings.ToLower(n.Text("name"))
	known := slices.Contains(harmlessSettings(), name) || strings.HasPrefix(name, "enable_")
	switch n.Enum("kind") {
	case "VAR_SET_DEFAULT", "VAR_RESET":
		return known
	case "VAR_RESET_ALL":
		return true
	case "VAR_SET_MULTI":
		return (name == "transaction" || name == "session characteristics") && harmlessModes(n.List("args"))
	case "VAR_SET_VALUE":
		return known || slices.Contains(keptValues(name), strings.ToLower(settingValue(n)))
	}
	return false
}

func keptValues(name string) []string {
	switch name {
	case "client_encoding":
		return []string{"utf8", "utf-8", "unicode"}
	case "standard_conforming_strings", "transaction_read_only", "default_transaction_read_only":
		return []string{"on", "true"}
	}
	return nil
}

// settingValue is the only value of a SET, or "".
func settingValue(n *grammar.Node) string {
	args := n.List("args")
	if len(args) != 1 || !args[0].Is("A_Const") {
		return ""
	}
	return args[0].Node("sval").Text("sval")
}
