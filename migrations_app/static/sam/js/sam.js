// What every page needs. A subject's own module is loaded by its page, in the block "scripts".

import { startCopy } from "./copy.js";
import { startOverlays } from "./overlays.js";
import { startTabs } from "./tabs.js";
import { startTheme } from "./theme.js";
import { startTimes } from "./times.js";
import { startToasts } from "./toasts.js";
import { keepZone } from "./zone.js";

keepZone();
startTheme();
startOverlays();
startToasts();
startTimes();
startCopy();
startTabs();
