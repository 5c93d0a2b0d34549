// A condition of the query language as Python for NumPy, for readers without nmcdist.
//
// Comparisons become element-wise ones. Those with a missing value are false there as here, but for "!=".

interface Token {
  kind: "number" | "name" | "sign";
  text: string;
}

/** How tightly an expression binds: what is not tight enough for its place gets parentheses. */
interface Expression {
  text: string;
  binds: number;
  isCondition: boolean;
  isConstant: boolean; // names no column: plain Python numbers, which NumPy's operators do not see
}

const TOKEN =
  /[ \t\r\n]*(?:((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|([A-Za-z_]\w*(?:\.\w+)*(?:\[ *\w+ *(?:, *\w+ *)*\])?)|(<=|>=|==|!=|[<>()+*/-]))/y;
const ORDERS = new Set(["<", "<=", ">", ">=", "==", "!="]);
const ATOM = 9;
const OR = 1;
const AND = 2;
const ORDER = 0; // looser than & and | of Python
const SUM = 4;
const PRODUCT = 5;

export interface Selection {
  /** Full names of the columns, in the order of their first use. */
  columns: string[];
  expression: string;
}

/**
 * Translates a condition.
 *
 * `fullName` returns the full name of a column, or nothing for an unknown one; `variable` the name it has in Python.
 * Returns null for a text that is no condition: the service says what is wrong with it.
 */
export function translated(
  condition: string,
  fullName: (name: string) => string | undefined,
  variable: (name: string) => string,
): Selection | null {
  try {
    return new Translator(tokensOf(condition), fullName, variable).whole();
  } catch {
    return null;
  }
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  const trimmed = text.trimEnd();
  while (TOKEN.lastIndex < trimmed.length) {
    const found = TOKEN.exec(trimmed);
    if (!found) throw new Error("no token");
    if (found[1]) tokens.push({ kind: "number", text: found[1] });
    else if (found[2]) tokens.push({ kind: "name", text: found[2] });
    else tokens.push({ kind: "sign", text: found[3] });
  }
  return tokens;
}

class Translator {
  private next = 0;
  private readonly columns = new Set<string>();

  constructor(
    private readonly tokens: Token[],
    private readonly fullName: (name: string) => string | undefined,
    private readonly variable: (name: string) => string,
  ) {}

  whole(): Selection {
    const { text, isConstant } = condition(this.either());
    if (this.next < this.tokens.length) throw new Error("more than a condition");
    return { columns: [...this.columns], expression: isConstant ? `numpy.full(data.sizes["sample"], ${text})` : text };
  }

  private either(): Expression {
    return this.joined("or", "|", OR, () => this.both());
  }

  private both(): Expression {
    return this.joined("and", "&", AND, () => this.single());
  }

  private joined(word: string, sign: string, binds: number, part: () => Expression): Expression {
    let found = part();
    while (this.taken(word)) {
      const [left, right] = [condition(found), condition(part())];
      found = { ...joint(left, right), text: `${within(left, binds)} ${sign} ${within(right, binds + 1)}`, binds };
    }
    return found;
  }

  private single(): Expression {
    if (!this.taken("not")) return this.comparison();
    const part = condition(this.single());
    if (part.isConstant) return { ...part, text: `(not ${within(part, ATOM)})`, binds: ATOM }; // ~True is -2
    return { ...part, text: `~${within(part, ATOM)}`, binds: ATOM };
  }

  private comparison(): Expression {
    const operands = [this.sum()];
    const orders: string[] = [];
    for (let order = this.takenOrder(); order; order = this.takenOrder()) {
      orders.push(order);
      operands.push(this.sum());
    }
    if (!orders.length) return operands[0];
    const isConstant = operands.map(value).every((operand) => operand.isConstant);
    const parts = orders.flatMap((order, place) => compared(operands[place], order, operands[place + 1]));
    const about = { isCondition: true, isConstant };
    if (parts.length === 1) return { text: parts[0], binds: ORDER, ...about };
    return { text: parts.map((part) => `(${part})`).join(" & "), binds: AND, ...about };
  }

  private sum(): Expression {
    return this.chain(["+", "-"], SUM, () => this.product());
  }

  private product(): Expression {
    return this.chain(["*", "/"], PRODUCT, () => this.factor());
  }

  private chain(signs: string[], binds: number, part: () => Expression): Expression {
    let found = part();
    for (let sign = this.taken(...signs); sign; sign = this.taken(...signs)) {
      const [left, right] = [value(found), value(part())];
      const about = joint(left, right);
      if (sign === "/" && about.isConstant) found = { ...about, text: `numpy.divide(${left.text}, ${right.text})`, binds: ATOM };
      else found = { ...about, text: `${within(left, binds)} ${sign} ${within(right, binds + 1)}`, binds };
    }
    return found;
  }

  private factor(): Expression {
    const sign = this.taken("+", "-");
    if (sign) {
      const part = value(this.factor());
      return sign === "+" ? part : { ...part, text: `-${within(part, ATOM)}`, binds: PRODUCT };
    }
    if (this.taken("abs")) {
      const part = value(this.inside());
      return { ...part, text: `abs(${part.text})`, binds: ATOM };
    }
    if (this.tokens[this.next]?.text === "(") return this.inside();
    const token = this.tokens[this.next++];
    if (token?.kind === "number") return { text: asFloat(token.text), binds: ATOM, isCondition: false, isConstant: true };
    if (token?.kind !== "name") throw new Error("no value");
    const name = this.fullName(pointed(token.text));
    if (!name) throw new Error("no such column");
    this.columns.add(name);
    return { text: this.variable(name), binds: ATOM, isCondition: false, isConstant: false };
  }

  private inside(): Expression {
    if (!this.taken("(")) throw new Error("no parenthesis");
    const found = this.either();
    if (!this.taken(")")) throw new Error("no parenthesis");
    return found;
  }

  private taken(...texts: string[]): string {
    const text = this.tokens[this.next]?.text;
    if (text === undefined || !texts.includes(text)) return "";
    this.next++;
    return text;
  }

  private takenOrder(): string {
    const text = this.tokens[this.next]?.text;
    return text !== undefined && ORDERS.has(text) ? this.taken(text) : "";
  }
}

function condition(part: Expression): Expression {
  if (!part.isCondition) throw new Error("no condition");
  return part;
}

function value(part: Expression): Expression {
  if (part.isCondition) throw new Error("no value");
  return part;
}

function joint(left: Expression, right: Expression): Pick<Expression, "isCondition" | "isConstant"> {
  return { isCondition: left.isCondition, isConstant: left.isConstant && right.isConstant };
}

function within({ text, binds }: Expression, least: number): string {
  return binds >= least ? text : `(${text})`;
}

/** Returns comparisons that all hold where the one of the query does: NumPy takes a missing value for unequal. */
function compared(left: Expression, order: string, right: Expression): string[] {
  const [a, b] = [within(left, SUM), within(right, SUM)];
  const isKnown = order === "!=" ? [a, b].map((side) => `${side} == ${side}`) : [];
  return [`${a} ${order} ${b}`, ...isKnown];
}

/** Returns a number that Python reads as a float, so that sums and products are those of floats. */
function asFloat(text: string): string {
  return /[.eE]/.test(text) ? text : `${text}.0`;
}

/** Returns a name with points before its labels. */
export function pointed(name: string): string {
  const [start, labels] = name.split("[");
  return labels === undefined ? name : [start, ...labels.replace("]", "").split(",")].map((part) => part.trim()).join(".");
}
