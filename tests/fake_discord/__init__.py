"""A loopback stand-in for Discord: REST v10 and gateway v10, accepted by discord.py's clients unpatched.

`server.FakeDiscord` is the door. `world` holds the people and places, `messages` what they write, `gateway`
and `rest` are Discord's two faces, `interactions` is slash commands and buttons, `limits` says no at the
right time. People use the same REST API as bots, with a token that isn't preceded by `Bot `.
"""
