#!/usr/bin/env node
import '../dist/textpoke.js';
