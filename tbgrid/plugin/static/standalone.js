// The tab on a page of its own.

import { render } from "./index.js";

render();
