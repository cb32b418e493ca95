// What bin/textpoke.js and every worker thread starts.
import { start } from './main.ts';

void start();
