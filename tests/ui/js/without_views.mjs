// Lets Node load modules that also draw: the view library, which npm brings, is stood in for.
import { register } from "node:module";

const NAMES = ["h", "render", "Fragment", "createContext", "useCallback", "useContext", "useEffect", "useErrorBoundary", "useLayoutEffect", "useMemo", "useReducer", "useRef", "useState"];
const STAND_IN = `const none = () => {}; none.bind = () => none; export default none;\n${NAMES.map((name) => `export { none as ${name} };`).join("\n")}`;
const HOOKS = `export const resolve = (name, context, next) => (/\\/vendor\\//.test(name)
  ? { url: ${JSON.stringify(`data:text/javascript,${encodeURIComponent(STAND_IN)}`)}, shortCircuit: true } : next(name, context));`;

register(`data:text/javascript,${encodeURIComponent(HOOKS)}`);
