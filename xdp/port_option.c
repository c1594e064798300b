/* See port_option.h. */
#include "port_option.h"

#include <stdio.h>
#include <string.h>

#include "accept.h"

static const struct accept_word {
    const char *word;
    uint32_t bit;
} accept_words[] = {
    {"ip4", ACCEPT_IP4},   {"arp", ACCEPT_ARP}, {"ip6", ACCEPT_IP6},
    {"vlan", ACCEPT_VLAN}, {"all", ACCEPT_ALL},
};

/* The bit of the word at `text`, 0 when there is none. */
static uint32_t accept_bit(const char *text, size_t length)
{
    for (size_t i = 0; i < sizeof accept_words / sizeof *accept_words; i++)
        if (strlen(accept_words[i].word) == length && !strncmp(text, accept_words[i].word, length))
            return accept_words[i].bit;
    return 0;
}

/* 0 when a word is unknown. */
static uint32_t accept_parse(const char *text, size_t length)
{
    uint32_t accept = 0;

    for (const char *end = text + length; text <= end;) {
        const char *plus = memchr(text, '+', (size_t)(end - text));
        size_t word = (size_t)((plus ? plus : end) - text);
        uint32_t bit = accept_bit(text, word);
        if (!bit)
            return 0;
        accept |= bit;
        text += word + 1;
    }
    return accept;
}

static bool setting_parse(const char *text, size_t length, struct port_option *option)
{
    static const char accept[] = "accept=";

    if (length == 3 && !strncmp(text, "tun", 3)) {
        option->kind = PORT_TUN;
    } else if (length == 3 && !strncmp(text, "tap", 3)) {
        option->kind = PORT_TAP;
    } else if (length > strlen(accept) && !strncmp(text, accept, strlen(accept))) {
        option->accept = accept_parse(text + strlen(accept), length - strlen(accept));
        return option->accept != 0;
    } else {
        return false;
    }
    return true;
}

bool port_option_parse(const char *text, struct port_option *option, char *why, size_t room)
{
    const char *equals = strchr(text, '=');

    *option = (struct port_option){.kind = PORT_ETHERNET};
    if (!equals || equals == text || equals - text >= (ptrdiff_t)PORT_NAME_BYTES ||
        memchr(text, ',', (size_t)(equals - text))) {
        snprintf(why, room, "--port %s: want NAME=DEVICE, NAME of 1 to 15 characters", text);
        return false;
    }
    memcpy(option->name, text, (size_t)(equals - text));

    const char *at = equals + 1;
    size_t length = strcspn(at, ",");
    if (!length || length >= IFNAMSIZ) {
        snprintf(why, room, "--port %s: \"%.*s\" is no device name", text, (int)length, at);
        return false;
    }
    memcpy(option->device, at, length);

    for (at += length; *at; at += length) {
        at++;
        length = strcspn(at, ",");
        if (!setting_parse(at, length, option)) {
            snprintf(why, room,
                     "--port %s: \"%.*s\" is none of tun, tap, accept=LIST (LIST: ip4, arp, ip6, "
                     "vlan, all, joined by +)",
                     text, (int)length, at);
            return false;
        }
    }
    if (option->kind != PORT_ETHERNET && option->accept) {
        snprintf(why, room,
                 "--port %s: accept= is for network devices; the NF gets every packet of a TUN "
                 "or TAP device",
                 text);
        return false;
    }
    if (!option->accept)
        option->accept = ACCEPT_DEFAULT;
    return true;
}
