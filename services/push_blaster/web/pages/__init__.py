"""The pages: server-rendered, readable without JavaScript, live with it."""
