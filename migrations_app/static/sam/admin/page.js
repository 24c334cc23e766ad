// For SAM's own pages in the admin: times in the reader's zone.

import { startTimes } from "../js/times.js";
import { keepZone } from "../js/zone.js";

keepZone();
startTimes();
