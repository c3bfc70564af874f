// The tab on a page of its own, outside TensorBoard.

import { render } from "./index.js";

render();
